from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from deodar.columnar.dead_letters import DeadLetter, DeadLetterStore
from deodar.edr.cli import app
from deodar.edr.errors import NotKnown


@pytest.fixture
def folder(installation) -> str:
    store = DeadLetterStore(installation.directory.path / "dead-letters")
    store.add([DeadLetter("not JSON", "$.x", 7, b"\xff" * 100, "import/1")], "import/1#1")
    return str(installation.directory.path)


def run(*words: str) -> bytes:
    done = CliRunner().invoke(app, ["dead-letters", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout_bytes


def test_dead_letters_are_listed_with_their_reason_and_place(folder):
    row = json.loads(run("list", "--dir", folder, "--json"))
    assert (row["line"], row["reason"], row["path"]) == (7, "not JSON", "$.x")
    assert (row["source"], row["size"]) == ("import/1", 100)
    assert b"not JSON" in run("list", "--dir", folder)


def test_the_bytes_come_out_as_they_came_in(folder):
    row = json.loads(run("list", "--dir", folder, "--json"))
    assert run("show", row["id"], "--dir", folder) == b"\xff" * 100
    with pytest.raises(NotKnown):
        run("show", "99-0", "--dir", folder)
