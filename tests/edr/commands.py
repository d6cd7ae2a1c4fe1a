"""Runs commands of ``deodar edr`` in this process."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from deodar.edr.cli import app


def run(*words: object, stdin: bytes | None = None, code: int = 0) -> str:
    """Run a command and return what it printed; an error of the server's packages is raised."""
    done = CliRunner().invoke(app, [*map(str, words)], input=stdin, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout


def told(*words: object, **more: Any) -> list[Any]:
    """Run a command with ``--json`` and return its objects."""
    return [json.loads(line) for line in run(*words, "--json", **more).splitlines()]
