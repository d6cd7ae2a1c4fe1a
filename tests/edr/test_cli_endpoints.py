from __future__ import annotations

import contextlib
import json

from typer.testing import CliRunner

from deodar.edr.cli import app
from deodar.edr.enrolment import Endpoints, EnrolmentRequest, Host
from deodar.tls import certificates

from .conftest import read_token


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["endpoints", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_endpoints_are_listed_and_can_be_revoked(installation):
    folder = str(installation.directory.path)
    assert "No agent" in run("list", "--dir", folder)
    with contextlib.closing(installation.database()) as database:
        endpoints = Endpoints(database)
        secret = read_token(endpoints.invite("u", "p", 60).token)["secret"]
        request = certificates.make_request("x")[0].decode()
        asked = EnrolmentRequest(secret, request, Host(name="web-1", os_name="Debian"))
        agent_id = endpoints.enroll(installation.authority, asked, "10.0.0.1").agent_id
    row = json.loads(run("list", "--dir", folder, "--json"))
    assert (row["agent_id"], row["name"], row["state"]) == (agent_id, "web-1", "enrolled")
    assert json.loads(run("revoke", agent_id, "--dir", folder, "--json"))["state"] == "revoked"
    assert "revoked" in run("list", "--dir", folder)
