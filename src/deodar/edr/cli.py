"""The commands ``deodar edr …``.

Commands on control data work on the database, whether the server runs or not. An import goes to the
running server, or into the event log itself when none runs. Exit codes are those of ``deodar``, and
4 when an import had lines that could not become events, and 5 when a task that was waited for was
not done.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from deodar.edr import (
    cli_alerts,
    cli_audit,
    cli_backup,
    cli_dead_letters,
    cli_endpoints,
    cli_enrolment_tokens,
    cli_external_systems,
    cli_group,
    cli_isolation,
    cli_node,
    cli_policy,
    cli_reputation,
    cli_settings,
    cli_task,
    cli_token,
    cli_user,
    cli_yara,
    durations,
    output,
)
from deodar.edr import importer as imports
from deodar.edr.enrolment import Endpoints
from deodar.edr.errors import ControlError, EdrError
from deodar.edr.installation import init as make
from deodar.edr.installation import open_
from deodar.edr.local import LocalServer
from deodar.edr.options import Directory, Json  # noqa: TC001  # typer reads them at run time
from deodar.edr.settings import EdrSettings
from deodar.kit import logging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.edr.importer import Chunk, Imported
    from deodar.edr.ingest import Origin, Receipt
    from deodar.edr.installation import Installation

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(cli_backup.backup)
app.command()(cli_backup.restore)
app.add_typer(cli_external_systems.app, name="external-systems")
app.add_typer(cli_endpoints.app, name="endpoints")
app.add_typer(cli_group.app, name="group")
app.add_typer(cli_dead_letters.app, name="dead-letters")
app.add_typer(cli_node.app, name="node")
app.add_typer(cli_policy.app, name="policy")
app.add_typer(cli_settings.app, name="settings")
app.add_typer(cli_enrolment_tokens.app, name="enrolment-tokens")
app.add_typer(cli_user.app, name="user")
app.add_typer(cli_token.app, name="token")
app.add_typer(cli_audit.app, name="audit")
app.command()(cli_isolation.isolate)
app.command()(cli_isolation.release)
app.add_typer(cli_isolation.app, name="prevention")
app.add_typer(cli_task.app, name="task")
app.add_typer(cli_alerts.app, name="alerts")
app.add_typer(cli_yara.app, name="yara")
app.add_typer(cli_reputation.app, name="reputation")

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound


@app.command()
def init(
    directory: Directory,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = _EVERYWHERE[0],
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any.")] = 9443,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name or address in the server's certificate; the first is for agents."),
    ] = None,
    history: Annotated[
        str, typer.Option(help="History for initial requests: all, none or a duration.")
    ] = "all",
    store: Annotated[str, typer.Option(help="URL of another store than the embedded one.")] = "",
    database: Annotated[str, typer.Option(help="URL of another database than SQLite.")] = "",
    as_json: Json = False,
) -> None:
    """Make the server's folder: settings, authority, certificate, keys."""
    settings = EdrSettings(
        host=host,
        port=port,
        names=tuple(name or _names(host)),
        store=store,
        database=database,
    )
    if history != "all":
        settings = _with_history(settings, history)
    made = make(directory, settings)
    if as_json:
        output.print_json({"dir": str(made.directory.path), "url": made.url, "pin": made.pin})
        return
    output.print_line(f"The EDR server in {made.directory.path} will be at {made.url}")
    output.print_line(f"SHA-256 of its authority: {made.pin}")
    output.print_line(f"Start it with: deodar edr run --dir {made.directory.path}")


@app.command()
def run(
    directory: Directory,
    debug: Annotated[bool, typer.Option(help="Log more.")] = False,
) -> None:
    """Run the server until SIGTERM; prints one line of JSON when it can be used."""
    from deodar.edr import server  # noqa: PLC0415  # the store's engine is heavy

    logging.configure("edr", debug=debug)
    asyncio.run(server.run(open_(directory), server.print_ready))


@app.command()
def status(directory: Directory, as_json: Json = False) -> None:
    """Show how the running server does."""
    found = LocalServer(open_(directory).directory.socket)
    if not found.answers():
        raise ControlError("the server does not run; start it with: deodar edr run")
    told = found.get("/status").decode()
    output.print_line(told if as_json else _lines(told))


@app.command()
def enroll(
    directory: Directory,
    valid: Annotated[str, typer.Option(help="How long it is good (ISO 8601).")] = "P1D",
    note: Annotated[str, typer.Option(help="What or whom it is for.")] = "",
    url: Annotated[str, typer.Option(help="Address of this server for the agent.")] = "",
    group: Annotated[str, typer.Option(help="The group of the endpoint.")] = "default",
    as_json: Json = False,
) -> None:
    """Make an enrolment token, good for one agent."""
    opened = open_(directory)
    seconds = durations.parse(valid)
    with contextlib.closing(opened.database()) as database:
        made = Endpoints(database).invite(url or opened.url, opened.pin, seconds, note, group)
    if as_json:
        output.print_json({"token": made.token, "expires_us": made.expires_us})
    else:
        output.print_line(made.token)


@app.command("import")
def import_(
    directory: Directory,
    file: Annotated[str, typer.Argument(help="NDJSON of events; - for standard input.")],
    as_json: Json = False,
) -> None:
    """Put a file of events into the log; lines that are no events become dead letters (exit 4)."""
    logging.configure("edr")
    opened = open_(directory)
    with _input(file) as lines:
        done = asyncio.run(_import(opened, lines))
    if as_json:
        output.print_json(done)
    else:
        output.print_line(f"{done.events} events from {done.lines} lines, {done.dead} dead letters")
    if done.dead:
        raise typer.Exit(imports.EXIT_SOME_DEAD)


async def _import(opened: Installation, lines: BinaryIO) -> Imported:
    running = LocalServer(opened.directory.socket)
    if running.answers():
        return await imports.import_file(lines, running.send)
    from deodar.edr import control, way_in  # noqa: PLC0415  # the store's engine is heavy

    async with way_in.ingesting(opened) as opened_log:

        async def send(origin: Origin, chunk: Chunk) -> Receipt:
            return await control.take_chunk(
                opened_log.ingest, origin, chunk.body, too_long=chunk.too_long
            )

        return await imports.import_file(lines, send)


@contextlib.contextmanager
def _input(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise EdrError(f"cannot read {file}: {error.strerror}") from error
    with opened:
        yield opened


def _names(host: str) -> list[str]:
    own = [] if host in _EVERYWHERE else [host]
    return list(dict.fromkeys([*own, socket.gethostname(), "localhost", "127.0.0.1"]))


def _with_history(settings: EdrSettings, history: str) -> EdrSettings:
    import msgspec  # noqa: PLC0415

    api = msgspec.structs.replace(settings.events_api, history=history)
    return msgspec.structs.replace(settings, events_api=api)


def _lines(told: str) -> str:
    import json  # noqa: PLC0415

    return "\n".join(f"{key}: {output.plain(value)}" for key, value in json.loads(told).items())
