from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from deodar.edr.cli import app
from deodar.edr.errors import NotKnown


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_tokens_are_listed_and_taken_back(installation):
    folder = str(installation.directory.path)
    assert "deodar edr enroll" in run("enrolment-tokens", "list", "--dir", folder)
    run("enroll", "--note", "web-1", "--dir", folder)
    shown = run("enrolment-tokens", "list", "--dir", folder)
    assert "web-1" in shown
    assert "never" in shown
    row = json.loads(run("enrolment-tokens", "list", "--json", "--dir", folder))
    run("enrolment-tokens", "revoke", row["id"], "--dir", folder)
    with pytest.raises(NotKnown, match="enrolment-tokens list"):
        run("enrolment-tokens", "revoke", row["id"], "--dir", folder)
