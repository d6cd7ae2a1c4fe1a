"""The commands ``deodar edr isolate``, ``release`` and ``prevention``: how endpoints shall be."""

from __future__ import annotations

import contextlib
from pathlib import Path  # noqa: TC003  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from deodar.edr import output
from deodar.edr.enrolment import Endpoints
from deodar.edr.errors import EdrError
from deodar.edr.installation import open_
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.reputation_feed import entries
from deodar.edr.tasking.states import ALL, States
from deodar.response.isolation import ISOLATION, PREVENTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.edr.database import Database
    from deodar.edr.tasking.states import DesiredState

app = typer.Typer(no_args_is_help=True, help="Files that endpoints must not run.")

LARGEST = 4 << 20
_HOUR = 3600
_MD5 = 32
Host = Annotated[str, typer.Argument(help="The agent's id, or its host's name.")]
Target = Annotated[str, typer.Argument(help="The agent's id, its host's name, or all.")]


def isolate(
    directory: Directory,
    host: Host,
    hours: Annotated[
        int, typer.Option(help="Hours until it ends by itself; 0 for never.", min=0, max=9999)
    ] = 8,
    exclusions: Annotated[
        Path | None, typer.Option(help="JSON list of rules, as KATA's API has excludedRules.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Cut an endpoint off the network, but for the exclusions and this server."""
    settings: dict[str, Any] = {"excludedRules": _rules(exclusions)}
    if hours:
        settings["autoTurnoffTimeoutInSec"] = hours * _HOUR
    with _opened(directory) as database:
        made = States(database).set(_target(database, host), ISOLATION, settings)
    _show(made, as_json=as_json)


def release(directory: Directory, host: Host, as_json: Json = False) -> None:
    """End the isolation of an endpoint."""
    with _opened(directory) as database:
        made = States(database).clear(_target(database, host), ISOLATION)
    _show(made, as_json=as_json)


@app.command("set")
def set_(
    directory: Directory,
    target: Target,
    file: Annotated[Path, typer.Argument(help="MD5 or SHA-256 of files, one a line.")],
    as_json: Json = False,
) -> None:
    """Keep the files of a list from running, in place of the list before."""
    with _opened(directory) as database:
        settings = {"objects": _objects(file)}
        made = States(database).set(_target(database, target), PREVENTION, settings)
    _show(made, as_json=as_json)


@app.command()
def clear(directory: Directory, target: Target, as_json: Json = False) -> None:
    """Let all files run again."""
    with _opened(directory) as database:
        made = States(database).clear(_target(database, target), PREVENTION)
    _show(made, as_json=as_json)


@app.command()
def show(directory: Directory, target: Target, as_json: Json = False) -> None:
    """Show what is wanted of an endpoint, isolation too, and what it says of it."""
    with _opened(directory) as database:
        states, name = States(database), _target(database, target)
        wanted, applied = states.wanted(name), states.applied(name)
    if as_json:
        output.print_json({"wanted": wanted, "applied": applied})
        return
    for one in wanted:
        _show(one, as_json=False)
    for told in applied:
        line = f"{told.kind} ({told.target}) {told.number}: {told.outcome} {told.reason}"
        output.print_line(output.plain(line.strip()))
    if not wanted and not applied:
        output.print_line("Nothing is wanted of it.")


def _objects(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open("rb") as opened:
            read = list(entries(opened, "prevention", "untrusted"))
    except OSError as error:
        raise EdrError(f"cannot read {file}: {error.strerror}") from error
    return [
        {"file": {("md5" if len(one.hash) == _MD5 else "sha256"): one.hash} | _name(one.note)}
        for one in read
    ]


def _name(note: str) -> dict[str, str]:
    return {"name": note} if note else {}


def _rules(file: Path | None) -> Any:
    if file is None:
        return []
    try:
        with file.open("rb") as opened:
            return msgspec.json.decode(opened.read(LARGEST))
    except OSError as error:
        raise EdrError(f"cannot read {file}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EdrError(f"{file} is no JSON: {error}") from error


def _target(database: Database, name: str) -> str:
    return ALL if name == ALL else Endpoints(database).find(name).agent_id


def _show(state: DesiredState, *, as_json: bool) -> None:
    if as_json:
        output.print_json(state)
        return
    if state.settings is None:
        output.print_line(f"{state.kind} of {state.target}: ended (order {state.number})")
        return
    until = f" until {output.moment(state.ends_us)}" if state.ends_us else ""
    word = "active" if state.active else "inactive"
    output.print_line(f"{state.kind} of {state.target}: {word}{until} (order {state.number})")


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[Database]:
    with contextlib.closing(open_(directory).database()) as database:
        yield database
