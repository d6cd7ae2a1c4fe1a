from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from deodar.edr.audit import AuditBroken
from deodar.edr.cli import app
from deodar.edr.database import record
from deodar.edr.errors import BadRequest


@pytest.fixture
def folder(installation) -> str:
    with contextlib.closing(installation.database()) as database:
        for subject in "abc":
            with database.write() as connection:
                record(connection, "policy set", subject, user="operator")
    return str(installation.directory.path)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["audit", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(folder: str, *words: str) -> list[str]:
    lines = run("list", "--json", "--dir", folder, *words).splitlines()
    return [json.loads(line)["subject"] for line in lines]


def test_entries_are_listed_and_chosen(folder):
    assert "policy set" in run("list", "--dir", folder)
    assert rows(folder) == ["c", "b", "a"]
    assert rows(folder, "--limit", "1") == ["c"]
    assert rows(folder, "--before", "3") == ["b", "a"]
    assert rows(folder, "--subject", "b", "--user", "operator", "--action", "pol") == ["b"]
    assert rows(folder, "--since", "2020-01-01", "--until", "2020-01-02T00:00:00+02:00") == []
    assert rows(folder, "--since", "2020-01-01") == ["c", "b", "a"]
    assert "nothing" in run("list", "--user", "nobody", "--dir", folder)


@pytest.mark.parametrize("time", ["yesterday", "9999-99-99", "x" * 1000])
def test_a_time_that_is_none_is_told(folder, time):
    with pytest.raises(BadRequest, match="--since"):
        run("list", "--since", time, "--dir", folder)


def test_a_good_trail_is_told_with_its_end_to_note(folder):
    told = run("verify", "--dir", folder)
    assert "3 entries are as they were written" in told
    noted = told.split()[-1]
    assert noted.startswith("3:")
    run("verify", "--noted", noted, "--dir", folder)
    assert json.loads(run("verify", "--json", "--dir", folder))["rows"] == 3
    for wrong in ("x", "3:", "3:abc", f"{'9' * 30}:{'0' * 64}"):
        with pytest.raises(BadRequest, match="--noted"):
            run("verify", "--noted", wrong, "--dir", folder)


def test_a_changed_trail_ends_with_its_own_exit_code(folder, installation):
    noted = run("verify", "--dir", folder).split()[-1]
    with sqlite3.connect(installation.directory.path / "edr.db") as database:
        database.execute("DELETE FROM audit WHERE number = 2")
    with pytest.raises(AuditBroken, match="row 3"):
        run("verify", "--dir", folder)
    command = [sys.executable, "-m", "deodar", "edr", "audit", "verify", "--dir", folder]
    done = subprocess.run([*command, "--noted", noted], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr.count(b"\n")) == (5, 1)
