"""``deodar siem collector``: make, run and look at collectors."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deodar.kit import logging as logs
from deodar.kit.errors import SettingsError
from deodar.siem import cli_dead_letters, cli_host, control
from deodar.siem.cli_options import (
    Authority,
    ClientTimeout,
    Connector,
    Debug,
    Dir,
    FetchTimeout,
    Filter,
    Insecure,
    Json,
    MaxEvents,
    Normalizer,
    Pins,
    Settings,
    connector_table,
    edr_source,
    plain,
    print_json,
    print_ready,
    run_until_stopped,
    siem_home,
    when,
)
from deodar.siem.collector import board as boards
from deodar.siem.collector.home import names, open_home, settings_of
from deodar.siem.connectors import registry
from deodar.siem.setup import MadeCollector, Source, add_collector, add_collector_of

if TYPE_CHECKING:
    import asyncio

    from deodar.siem.collector.tally import DestinationReport
    from deodar.siem.connectors.status import Status


app = typer.Typer(no_args_is_help=True)
app.callback(invoke_without_command=True)(cli_host.main)
app.add_typer(
    cli_dead_letters.app, name="dead-letters", help="What could not be normalized or stored."
)

Name = Annotated[str, typer.Argument(help="The collector's name.")]


@app.command()
def add(
    name: Name,
    path: Dir,
    edr: Annotated[
        list[str],
        typer.Option("--edr", metavar="HOST:PORT", help="For a cluster once for each node."),
    ] = [],  # noqa: B006 - typer copies it
    connector: Connector = "",
    settings: Settings = [],  # noqa: B006
    normalizer: Normalizer = "",
    pins: Pins = [],  # noqa: B006 - typer copies it
    authority: Authority = None,
    insecure: Insecure = False,
    max_events: MaxEvents = 0,
    fetch_timeout: FetchTimeout = 0.0,
    client_timeout: ClientTimeout = 0.0,
    filter_text: Filter = "",
    as_json: Json = False,
) -> None:
    """Make a collector: for one EDR server (or cluster), or with another connector."""
    if bool(edr) == bool(connector):
        raise SettingsError("give --edr HOST:PORT for an EDR server, or --connector KIND")
    if connector:
        table = connector_table(connector, settings)
        print_made(add_collector_of(siem_home(path), name, table, normalizer), path, as_json)
        return
    source: Source = edr_source(
        edr, pins, authority, insecure, max_events, fetch_timeout, client_timeout, filter_text
    )
    print_made(add_collector(siem_home(path), name, source), path, as_json)


def print_made(made: MadeCollector, path: Path, as_json: bool) -> None:
    """Print what was made, and what the EDR server's administrator has to compare."""
    if as_json:
        print_json(msgspec.to_builtins(made))
        return
    lines = [f"Collector {made.name}: {made.folder}/collector.toml"]
    if made.external_id:
        lines += [
            f"  external id              {made.external_id}",
            f"  certificate (SHA-256)    {made.certificate_sha256}",
        ]
    lines.append(f"Start it: deodar siem collector run {made.name} --dir {path}")
    if made.external_id:
        lines.append("Then accept it on the EDR server; id and certificate must be those above.")
    typer.echo("\n".join(lines))


@app.command()
def run(name: Name, path: Dir, debug: Debug = False) -> None:
    """Run a collector: it asks to be accepted, then fetches until it is stopped."""
    from deodar.siem.services.host import start  # noqa: PLC0415 - slow to import

    program = f"collector {name}"
    home = open_home(path, name)
    settings = settings_of(home)
    debug = debug or settings.connector.debug
    logs.configure(program, debug=debug)
    details = {"name": name, **registry.facts(settings.connector, home.path)}
    again = False

    async def work(stop: asyncio.Event) -> None:
        nonlocal again
        ready = partial(print_ready, details)
        again = await start.run_own(home, debug=debug, program=program, stop=stop, ready=ready)

    run_until_stopped(work)
    if again:
        start.begin_again()


@app.command(name="list")
def list_(path: Dir, as_json: Json = False) -> None:
    """List the collectors with their status."""
    siem_home(path)
    reports = [(name, boards.ask(open_home(path, name))) for name in names(path)]
    if as_json:
        for name, report in reports:
            print_json({"name": name, "status": msgspec.to_builtins(report.status)})
        return
    table = Table(show_edge=False)
    for heading in ("collector", "status", "stored", "waiting", "reason"):
        table.add_column(heading, overflow="fold")
    for name, report in reports:
        counts = (str(report.counts.stored), str(report.waiting))
        table.add_row(name, _coloured(report.status), *counts, plain(report.status.reason))
    Console().print(table if reports else "there are no collectors")


@app.command()
def status(name: Name, path: Dir, as_json: Json = False) -> None:
    """Show one collector: status and reason, counts, last error, identity."""
    home = open_home(path, name)
    report, settings = boards.ask(home), settings_of(home)
    facts = registry.facts(settings.connector, home.path)
    if as_json:
        print_json({**msgspec.to_builtins(report), "kind": settings.connector.kind, **facts})
        return
    lines = Table(show_header=False, box=None)
    reason = plain(f"  {report.status.reason}")
    lines.add_row("status", Text.assemble(_coloured(report.status), reason))
    if report.status.remedy:
        lines.add_row("what to do", plain(report.status.remedy))
    lines.add_row("connector", settings.connector.kind)
    for key, fact in facts.items():
        lines.add_row(key.replace("_", " "), plain(fact))
    counts = msgspec.to_builtins(report.counts)
    stages = counts.pop("stages")
    for field, count in (counts | stages | report.connector_counts).items():
        lines.add_row(field, f"{count:,}")
    lines.add_row("open windows", f"{report.pipeline.windows:,}")
    lines.add_row("waiting", f"{report.waiting:,} answers, {report.journal_bytes:,} bytes")
    for rule in report.pipeline.rules:
        done = ", ".join(f"{count:,} {name}" for name, count in rule.counts.items() if count)
        lines.add_row(f"rule {rule.name}", plain(done or "nothing yet"))
    for one in report.destinations[1:]:  # the first one is the storage, which is above
        lines.add_row(f"destination {one.name}", _destination(one))
    lines.add_row("last stored", when(report.last_stored_time))
    error = f"{when(report.last_error_time)}  {report.last_error}"
    lines.add_row("last error", plain(error))
    Console().print(lines)


@app.command(name="reset-token")
def reset_token(
    name: Name,
    path: Dir,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Begin anew: the EDR server sends the history that it holds, also what is stored already."""
    from deodar.siem.collector.service import reset_stopped  # noqa: PLC0415 - slow to import

    home = open_home(path, name)
    if not yes:
        typer.confirm(
            "Events that the EDR server still holds will come again, as new events. Go on?",
            abort=True,
        )
    try:
        control.call(home.socket, "POST", "/reset-token")
    except control.NotRunning:
        reset_stopped(home, settings_of(home))
    typer.echo(f"{name} begins with an initial request")


def _destination(report: DestinationReport) -> Text:
    lost = report.lost_size + report.lost_age
    counts = f"  {report.events:,} delivered, {report.waiting:,} answers wait"
    for count, word in ((report.refused, "refused"), (lost, "given up")):
        counts += f", {count:,} {word}" if count else ""
    text = plain(f"{counts}  {report.reason}".rstrip())
    return Text.assemble(Text(report.colour, style=report.colour), text)


def _coloured(status: Status) -> Text:
    return Text(status.colour, style=status.colour)
