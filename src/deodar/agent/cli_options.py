"""Options that the commands ``deodar agent …`` share, and what they print JSON with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from deodar.kit.directory import StateDirectory

DEFAULT = Path("/var/lib/deodar-agent")
MADE_BY = "deodar agent enroll"

Directory = Annotated[
    Path,
    # A member of the agent's group may enter the folder, but not list it.
    typer.Option(
        "--dir", envvar="DEODAR_DIR", readable=False, help="The folder of the agent's state."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def opened(path: Path) -> StateDirectory:
    """Return the agent's folder; raises StateError when it is not there."""
    return StateDirectory.open(path, made_by=MADE_BY)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    say(msgspec.json.encode(value).decode())


def say(text: str) -> None:
    """Print a line as it is, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
