"""The commands ``deodar edr external-systems …``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from deodar.edr import output
from deodar.edr.external_systems import Register
from deodar.edr.installation import open_
from deodar.edr.local import LocalServer
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.progress import Standing, without_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deodar.edr.external_system import ExternalSystem

app = typer.Typer(no_args_is_help=True, help="Systems that fetch events, and their requests.")

Name = Annotated[
    str, typer.Argument(help="Its id, its number in the list, or 8 or more digits of its digest.")
]
_COLUMNS = {
    "number": "Number",
    "id": "ID",
    "ip": "Address",
    "state": "State",
    "name": "Name",
    "digest": "Certificate SHA-256",
    "not_after_us": "Expires",
    "last_seen_us": "Last seen",
    "last_fetch_us": "Last fetch",
}
_BEHIND = {
    "fetched_events": "Events fetched",
    "behind_events": "Events behind",
    "behind_seconds": "Seconds behind",
}
_NOTHING = "No external system has asked yet."


@app.command("list")
def list_(
    directory: Directory,
    state: Annotated[str | None, typer.Option(help="pending, accepted or rejected.")] = None,
    as_json: Json = False,
) -> None:
    """Show external systems and pending requests, and how far behind each is (if it runs)."""
    running = LocalServer(open_(directory).directory.socket)
    if running.answers():
        found = msgspec.json.decode(running.get("/external-systems"), type=list[Standing])
        found = [one for one in found if state in (None, one.state)]
    else:
        with _register(directory) as register:
            found = without_log(register.list(state))
    if as_json:
        output.print_json(*found)
    else:
        output.print_table({**_COLUMNS, **_BEHIND}, found, _NOTHING)


@app.command()
def accept(
    directory: Directory,
    name: Name,
    title: Annotated[str, typer.Option("--name", help="A name for lists.")] = "",
    as_json: Json = False,
) -> None:
    """Let a system fetch events. Compare the certificate's SHA-256 with its owner first."""
    with _register(directory) as register:
        _show([register.accept(name, title)], as_json=as_json)


@app.command()
def reject(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Refuse a system; it stays in the list."""
    with _register(directory) as register:
        _show([register.reject(name)], as_json=as_json)


@app.command()
def delete(directory: Directory, name: Name, as_json: Json = False) -> None:
    """Forget a system; its next request is a new one."""
    with _register(directory) as register:
        _show([register.delete(name)], as_json=as_json)


@contextlib.contextmanager
def _register(directory: Path) -> Iterator[Register]:
    opened = open_(directory)
    with contextlib.closing(opened.database()) as database:
        yield Register(database, opened.settings.external_systems)


def _show(systems: list[ExternalSystem], *, as_json: bool) -> None:
    if as_json:
        output.print_json(*systems)
    else:
        output.print_table(_COLUMNS, systems, _NOTHING)
