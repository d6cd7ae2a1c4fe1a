"""The commands ``deodar edr dead-letters …``: what could not become an event, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.edr import dead_letter_row, output
from deodar.edr.errors import NotKnown
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, help="What came in and could not become an event.")

_COLUMNS = {
    "id": "ID",
    "time_us": "Time",
    "source": "Source",
    "line": "Line",
    "reason": "Reason",
    "path": "Path",
    "text": "Text",
}


@app.command("list")
def list_(
    directory: Directory,
    limit: Annotated[int, typer.Option(help="How many at most, the newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """Show the newest dead letters."""
    rows = [dead_letter_row.row(stored) for stored in _store(directory).list(limit)]
    if as_json:
        output.print_json(*rows)
    else:
        output.print_table(_COLUMNS, rows, "There are no dead letters.")


@app.command()
def show(
    directory: Directory, letter: Annotated[str, typer.Argument(help="Its ID in the list.")]
) -> None:
    """Write a dead letter's bytes to standard output, as they came."""
    found = _store(directory).read(letter)
    if found is None:
        raise NotKnown(f"no dead letter '{letter}'; see: deodar edr dead-letters list")
    sys.stdout.buffer.write(found.letter.raw)
    sys.stdout.buffer.flush()


def _store(directory: Path) -> DeadLetterStore:
    opened = open_(directory)
    folder = opened.directory.path / "dead-letters"
    return DeadLetterStore(folder, opened.settings.ingest.dead_letter_bytes)
