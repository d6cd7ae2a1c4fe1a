from __future__ import annotations

import contextlib
import json

import pytest
from typer.testing import CliRunner

from deodar.edr.cli import app
from deodar.edr.errors import NotKnown
from deodar.edr.external_system import Caller
from deodar.edr.external_systems import Register
from deodar.edr.settings import ExternalSystems
from deodar.tls import certificates

from .conftest import self_made


@pytest.fixture
def asked(installation) -> str:
    with contextlib.closing(installation.database()) as database:
        certificate = certificates.der(self_made().certificate)
        Register(database, ExternalSystems()).authorise(Caller("siem", "10.0.0.1", certificate))
    return str(installation.directory.path)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["external-systems", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_list_shows_what_an_administrator_compares(asked):
    (row,) = [json.loads(line) for line in run("list", "--dir", asked, "--json").splitlines()]
    assert (row["id"], row["ip"], row["state"]) == ("siem", "10.0.0.1", "pending")
    assert row["digest"] == certificates.fingerprint(self_made().certificate)
    table = run("list", "--dir", asked)
    assert row["digest"] in table
    assert "pending" in table


def test_accept_reject_and_delete_do_what_they_say(asked):
    accepted = json.loads(run("accept", "siem", "--name", "The SIEM", "--dir", asked, "--json"))
    assert (accepted["state"], accepted["name"]) == ("accepted", "The SIEM")
    assert run("list", "--state", "pending", "--dir", asked, "--json") == ""
    assert json.loads(run("reject", "siem", "--dir", asked, "--json"))["state"] == "rejected"
    run("delete", "siem", "--dir", asked)
    assert "No external system" in run("list", "--dir", asked)


def test_an_unknown_name_is_told(asked):
    with pytest.raises(NotKnown, match="external-systems list"):
        run("accept", "nobody", "--dir", asked)
