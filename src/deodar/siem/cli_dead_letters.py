"""``deodar siem collector dead-letters``: look at what could not be normalized or stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deodar.columnar.dead_letters import DeadLetterStore, StoredLetter
from deodar.siem.cli_options import Dir, Json, plain, print_json, when
from deodar.siem.collector.home import open_home, settings_of
from deodar.siem.errors import SiemError

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The collector's name.")]


@app.command(name="list")
def list_(
    name: Name,
    path: Dir,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 100,
    as_json: Json = False,
) -> None:
    """List dead letters, the newest first: id, time, batch, path and reason."""
    letters = _letters(open_home(path, name)).list(limit)
    if as_json:
        for letter in letters:
            print_json(_letter(letter))
        return
    table = Table(show_edge=False)
    for heading in ("id", "time", "path", "reason"):
        table.add_column(heading, overflow="fold")
    for stored in letters:
        time_text = when(stored.time / 1e6)
        place, reason = plain(stored.letter.path), plain(stored.letter.reason)
        table.add_row(stored.id, time_text, place, reason)
    Console().print(table if letters else "there are no dead letters")


@app.command(name="show")
def show(
    name: Name,
    letter_id: Annotated[str, typer.Argument(metavar="ID")],
    path: Dir,
    as_json: Json = False,
) -> None:
    """Show one dead letter with its source text."""
    stored = _letters(open_home(path, name)).read(letter_id)
    if stored is None:
        raise SiemError(f"{name} has no dead letter {letter_id}; it may have been dropped")
    if as_json:
        print_json(_letter(stored))
        return
    typer.echo(f"time    {when(stored.time / 1e6)}\nbatch   {stored.batch_id}")
    typer.echo(f"reason  {stored.letter.reason}\npath    {stored.letter.path}")
    typer.echo(f"source  {stored.letter.source}\n\n{_text(stored)}")


def _letters(home: StateDirectory) -> DeadLetterStore:
    return DeadLetterStore(home.path / "dead-letters", settings_of(home).dead_letter_bytes)


def _letter(stored: StoredLetter) -> dict[str, object]:
    letter = stored.letter
    return {
        "id": stored.id,
        "time": stored.time,
        "batch_id": stored.batch_id,
        "reason": letter.reason,
        "path": letter.path,
        "index": letter.index,
        "source": letter.source,
        "raw": _text(stored),
    }


def _text(stored: StoredLetter) -> str:
    return stored.letter.raw.decode("utf-8", "backslashreplace")
