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
from deodar.siem import cli_connector, cli_dead_letters, cli_host, control
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
from deodar.siem.collector.ledger import BatchAccount
from deodar.siem.connectors import registry
from deodar.siem.setup import MadeCollector, Source, add_collector, add_collector_of

if TYPE_CHECKING:
    import asyncio

    from deodar.siem.collector.ledger import Delivered
    from deodar.siem.collector.tally import DestinationReport
    from deodar.siem.connectors.status import ServerState, Status


app = typer.Typer(no_args_is_help=True)
app.callback(invoke_without_command=True)(cli_host.main)
app.add_typer(
    cli_dead_letters.app, name="dead-letters", help="What could not be normalized or stored."
)
app.registered_commands += cli_connector.app.registered_commands

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
def list_(
    path: Dir,
    tag: Annotated[str, typer.Option("--tag", help="Only those whose connector has it.")] = "",
    as_json: Json = False,
) -> None:
    """List the collectors with their status."""
    siem_home(path)
    homes = [(name, open_home(path, name)) for name in names(path)]
    reports = [
        (name, boards.ask(home))
        for name, home in homes
        if not tag or tag in settings_of(home).connector.tags
    ]
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
    for server in report.servers:
        lines.add_row("server", _server(server))
    counts = msgspec.to_builtins(report.counts)
    stages = counts.pop("stages")
    for field, count in (counts | stages | report.connector_counts).items():
        lines.add_row(field.replace("_", " "), f"{count:,}")
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
    start: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help='"with history", "from now on" or a time; else as connector.start says.',
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Begin anew: the EDR server sends the history that it holds, also what is stored already."""
    from deodar.siem.collector.service import reset_stopped, since  # noqa: PLC0415 - slow to import

    home = open_home(path, name)
    settings = settings_of(home)
    wanted = "that the EDR server still holds"
    if since(settings, start):
        wanted += ", and that are not too old for the choice of start,"
    if not yes:
        typer.confirm(f"Events {wanted} will come again, as new events. Go on?", abort=True)
    try:
        control.call(home.socket, "POST", "/reset-token", {"start": start})
    except control.NotRunning:
        reset_stopped(home, settings, start)
    typer.echo(f"{name} begins with an initial request")


@app.command()
def batches(
    name: Name,
    path: Dir,
    count: Annotated[int, typer.Option(min=1, max=500, help="How many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what became of the last batches of a running collector, at each destination."""
    home = open_home(path, name)
    answer = control.call(home.socket, "GET", f"/batches?count={count}")
    found = msgspec.json.decode(answer.content, type=list[BatchAccount])
    if as_json:
        for account in found:
            print_json(msgspec.to_builtins(account))
        return
    table = Table(show_edge=False)
    headings = ("received", "normalized", "failed", "too old", "repeated", "delivered")
    for heading in ("batch", "fetched", *headings):
        table.add_column(heading, overflow="fold")
    for one in found:
        numbers = (one.received, one.normalized, one.failed, one.too_old, one.repeated)
        delivered = "  ".join(f"{to} {_became(what)}" for to, what in one.destinations.items())
        table.add_row(one.batch_id, when(one.fetched_us / 1e6), *map(str, numbers), delivered)
    Console().print(table if found else "no batch yet since the collector's start")


def _became(what: Delivered) -> str:
    more = ((what.filtered, "filtered"), (what.refused, "refused"))
    return ", ".join(
        [f"{what.delivered:,}", *(f"{count:,} {word}" for count, word in more if count)]
    )


def _server(state: ServerState) -> Text:
    told = "asked now" if state.asked else "not asked now"
    if state.failures:
        again = f", left alone for {state.again_in:.0f} s" if state.again_in else ""
        told = f"{told}, {state.failures} errors in a row{again}: {state.error}"
    return plain(f"{state.url}  {told}")


def _destination(report: DestinationReport) -> Text:
    lost = report.lost_size + report.lost_age
    counts = f"  {report.events:,} delivered, {report.waiting:,} answers wait"
    for count, word in ((report.refused, "refused"), (lost, "given up")):
        counts += f", {count:,} {word}" if count else ""
    text = plain(f"{counts}  {report.reason}".rstrip())
    return Text.assemble(Text(report.colour, style=report.colour), text)


def _coloured(status: Status) -> Text:
    return Text(status.colour, style=status.colour)
