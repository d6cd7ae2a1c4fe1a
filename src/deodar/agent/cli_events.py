"""The command ``deodar agent events``: what the agent tells of itself."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import msgspec
import typer

from deodar.agent.cli_options import DEFAULT, Directory, Json, opened

if TYPE_CHECKING:
    from collections.abc import Iterator


def events(
    query: Annotated[str, typer.Option(help="Such as: EventType == 'TaskStateChanged'")] = "",
    last: Annotated[
        int | None, typer.Option("-n", "--last", min=0, help="Only the last N.")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Newest first.")] = False,
    db: Annotated[Path | None, typer.Option(help="A copy of an events.db to read.")] = None,
    file: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="New ones as they come.")] = False,
    directory: Directory = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show the agent's own events; with --follow until Ctrl-C."""
    if follow and (last is not None or reverse or db is not None):
        from deodar.tasks.codes import Code  # noqa: PLC0415
        from deodar.tasks.errors import TaskError  # noqa: PLC0415

        raise TaskError("--follow goes together with --query, --file and --json only", Code.SYNTAX)
    _warn_of_names(query)
    found = _follow(directory, query) if follow else _stored(directory, query, last, reverse, db)
    with contextlib.closing(found), _target(file) as target:
        try:
            for item in found:
                _write(target, item, as_json=as_json, at_once=follow)
        except KeyboardInterrupt:
            if not follow:
                raise


def _warn_of_names(text: str) -> None:
    """Say which names are in no type of event: a misspelt one finds nothing."""
    from deodar.agent.journal.query import parse, unusual_names  # noqa: PLC0415 - quick --help

    if names := unusual_names(parse(text)):
        told = f"no type of event is known to have {', '.join(names)}; see: deodar agent events"
        typer.echo(f"deodar: warning: {told}", err=True)


def _follow(directory: Path, query: str) -> Any:
    from deodar.agent.cli_reach import stream  # noqa: PLC0415 - --help stays quick

    return stream(opened(directory), "events.follow", query=query)


def _stored(
    directory: Path,
    query: str,
    last: int | None,
    reverse: bool,
    db: Path | None,
) -> Any:
    if db is not None:
        return _copied(db, query, last, reverse=reverse)
    from deodar.agent.cli_reach import stream  # noqa: PLC0415

    return stream(opened(directory), "events.query", query=query, last=last, reverse=reverse)


def _copied(db: Path, query: str, last: int | None, *, reverse: bool) -> Iterator[Any]:
    from deodar.agent.journal.query import parse  # noqa: PLC0415
    from deodar.agent.journal.record import as_dict  # noqa: PLC0415
    from deodar.agent.journal.store import ReadOnlyStore  # noqa: PLC0415

    parsed = parse(query)
    with contextlib.closing(ReadOnlyStore(db)) as store:
        for record in store.select(parsed, last, reverse=reverse):
            yield as_dict(record)


@contextlib.contextmanager
def _target(file: Path | None) -> Iterator[TextIO]:
    """Give the file, written over if it is there; its folder has to be there."""
    if file is None:
        yield sys.stdout
        return
    try:
        opened_file = file.open("w", encoding="utf-8")
    except OSError as error:
        from deodar.tasks.errors import TaskError  # noqa: PLC0415

        raise TaskError(f"cannot write {file}: {error.strerror}") from error
    with opened_file:
        yield opened_file


def _write(target: TextIO, item: dict[str, Any], *, as_json: bool, at_once: bool) -> None:
    from deodar.agent.journal.record import from_dict, to_lines  # noqa: PLC0415

    if as_json:
        target.write(msgspec.json.encode(item).decode() + "\n")
    else:
        target.write("\n".join(to_lines(from_dict(item))) + "\n\n")
    if at_once:
        target.flush()
