"""A command of ``deodar siem`` in this process: a tenth of what a process of its own costs."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from deodar.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command printed."""

    stdout: str
    stderr: str


def here(*words: object, code: int = 0) -> Ran:
    """Run a command and check its exit code."""
    out, err, got = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["siem", *map(str, words)])
        except SystemExit as end:
            got = int(end.code or 0)
    assert got == code, f"{words}: {got}: {err.getvalue()}"
    return Ran(out.getvalue(), err.getvalue())
