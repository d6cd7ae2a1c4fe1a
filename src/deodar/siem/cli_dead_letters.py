"""``deodar siem collector dead-letters``: look at what could not be normalized or stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from deodar.columnar.dead_letters import DeadLetterStore, StoredLetter
from deodar.kit.errors import SettingsError
from deodar.siem import control
from deodar.siem.cli_options import Dir, Json, plain, print_json, when
from deodar.siem.collector.home import open_home, settings_of
from deodar.siem.errors import SiemError

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The collector's name.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Only those whose reason has this text.")
]


@app.command(name="list")
def list_(
    name: Name,
    path: Dir,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 100,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """List dead letters, the newest first: id, time, batch, path and reason."""
    store = _letters(open_home(path, name))
    letters = list(store.walk(reason))[-limit:][::-1] if reason else store.list(limit)
    if as_json:
        for letter in letters:
            print_json(_letter(letter))
        return
    table = Table(show_edge=False)
    for heading in ("id", "time", "path", "reason"):
        table.add_column(heading, overflow="fold")
    for stored in letters:
        time_text = when(stored.time / 1e6)
        place, why = plain(stored.letter.path), plain(stored.letter.reason)
        table.add_row(stored.id, time_text, place, why)
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


@app.command(name="replay")
def replay(
    name: Name,
    path: Dir,
    ids: Annotated[list[str], typer.Argument(metavar="[ID…]", help="Which ones.")] = [],  # noqa: B006
    reason: Reason = "",
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    as_json: Json = False,
) -> None:
    """Send dead letters through the collector again, after what was wrong has been mended."""
    from deodar.siem.collector.replay import Replayed, Wanted  # noqa: PLC0415 - slow to import
    from deodar.siem.collector.service import replay_stopped  # noqa: PLC0415

    if (bool(ids), bool(reason), every).count(True) != 1:
        raise SettingsError("give ids of dead letters, or --reason TEXT, or --all")
    home = open_home(path, name)
    wanted = Wanted(list(ids), reason)
    try:
        body = {"ids": wanted.ids, "reason": wanted.reason}
        answer = control.call(home.socket, "POST", "/dead-letters/replay", body, seconds=600.0)
        done = msgspec.json.decode(answer.content, type=Replayed)
    except control.NotRunning:
        done = replay_stopped(home, settings_of(home), wanted)
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    typer.echo(
        f"{done.letters} dead letters are on their way again; what still cannot be used comes back "
        "under a new id"
    )


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
