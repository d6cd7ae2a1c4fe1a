"""The commands ``deodar edr reputation …``: what is known of files, for agents to ask."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from deodar.edr import durations, output
from deodar.edr.database import now_us
from deodar.edr.errors import EdrError
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.reputation import LOCAL, Entry, Reputation
from deodar.edr.reputation_feed import LONGEST_LINE, entries

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True, help="Reputation of files by MD5 and SHA-256.")

_COLUMNS = {
    "hash": "Hash",
    "verdict": "Verdict",
    "source": "List",
    "expires_us": "Ends",
    "note": "Note",
}
_LISTS = {
    "source": "List",
    "untrusted": "Untrusted",
    "trusted": "Trusted",
    "expired": "Expired",
    "added_us": "Last change",
}
Hash = Annotated[str, typer.Argument(help="MD5 or SHA-256 in hexadecimal.")]
List = Annotated[str, typer.Option("--list", help="The list's name.")]
Verdict = Annotated[
    Literal["untrusted", "trusted"], typer.Option(help="What is known of files without another.")
]
Valid = Annotated[str, typer.Option(help="For how long (ISO 8601); empty for ever.")]


@app.command()
def add(
    directory: Directory,
    file_hash: Hash,
    verdict: Verdict = "untrusted",
    source: List = LOCAL,
    valid: Valid = "",
    note: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: Json = False,
) -> None:
    """Put a file on a list."""
    with _reputation(directory) as reputation:
        made = reputation.add(Entry(file_hash, verdict, source, _end(valid), note))
    _show([made], as_json=as_json)


@app.command("import")
def import_(
    directory: Directory,
    file: Annotated[Path, typer.Argument(help="Hashes, or CSV: hash, verdict, note; - for stdin.")],
    source: List,
    verdict: Verdict = "untrusted",
    valid: Valid = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Nothing else stays on the list.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put the files of a feed on a list, all or none."""
    with _reputation(directory) as reputation, _input(file) as opened:
        read = entries(_lines(opened), source, verdict, _end(valid))
        count = reputation.load(source, read, replace=replace)
    if as_json:
        output.print_json({"source": source, "entries": count})
    else:
        output.print_line(f"{count} entries on the list {source}")


@app.command("list")
def list_(
    directory: Directory,
    source: List = "",
    after: Annotated[str, typer.Option(help="Begin behind this hash.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """Show entries in the order of their hashes."""
    with _reputation(directory) as reputation:
        _show(reputation.entries(source, after, limit), as_json=as_json)


@app.command()
def lists(directory: Directory, as_json: Json = False) -> None:
    """Show the lists."""
    with _reputation(directory) as reputation:
        found = reputation.feeds()
    if as_json:
        output.print_json(*found)
    else:
        output.print_table(_LISTS, found, "There is no list yet.")


@app.command()
def ask(directory: Directory, file_hash: Hash, as_json: Json = False) -> None:
    """Show what agents are told of a file."""
    with _reputation(directory) as reputation:
        found = reputation.look_up([file_hash]).get(file_hash.lower())
    told = {"verdict": found.verdict, "source": found.source} if found else {"verdict": "unknown"}
    output.print_json(told) if as_json else output.print_line(" by ".join(told.values()))


@app.command()
def remove(
    directory: Directory,
    file_hash: Annotated[str, typer.Argument(help="A hash; without, the whole list.")] = "",
    source: List = LOCAL,
    as_json: Json = False,
) -> None:
    """Take a file off a list, or delete the list."""
    with _reputation(directory) as reputation:
        count = reputation.remove(source, file_hash)
    if as_json:
        output.print_json({"source": source, "removed": count})
    else:
        output.print_line(f"{count} entries removed from the list {source}")


def _end(valid: str) -> int:
    return now_us() + int(durations.parse(valid) * 1_000_000) if valid else 0


def _lines(opened: BinaryIO) -> Iterator[bytes]:
    while line := opened.readline(LONGEST_LINE + 2):
        yield line


@contextlib.contextmanager
def _input(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = file.open("rb")
    except OSError as error:
        raise EdrError(f"cannot read {file}: {error.strerror}") from error
    with opened:
        yield opened


@contextlib.contextmanager
def _reputation(directory: Path) -> Iterator[Reputation]:
    with contextlib.closing(open_(directory).database()) as database:
        yield Reputation(database)


def _show(found: list[Entry], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*found)
    else:
        output.print_table(_COLUMNS, found, "No list knows such a file.")
