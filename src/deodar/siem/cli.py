"""``deodar siem``: set up and run the core, search, and everything about collectors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deodar.kit import logging as logs
from deodar.siem import (
    cli_api_token,
    cli_collector,
    cli_destination,
    cli_filter,
    cli_service,
    cli_set,
    control,
)
from deodar.siem.cli_options import (
    Authority,
    ClientTimeout,
    Debug,
    Dir,
    FetchTimeout,
    Filter,
    Insecure,
    Json,
    MaxEvents,
    Pins,
    edr_source,
    print_json,
    print_ready,
    run_until_stopped,
    siem_home,
)
from deodar.siem.errors import ControlError
from deodar.siem.search import DEFAULT_LIMIT
from deodar.siem.settings import check_name, load_siem
from deodar.siem.setup import PORT, SIEM_SETTINGS, add_collector, init_siem

if TYPE_CHECKING:
    import asyncio

app = typer.Typer(no_args_is_help=True)
app.add_typer(cli_collector.app, name="collector", help="Collectors: make, run, look at.")
app.add_typer(
    cli_destination.app, name="destination", help="Destinations of collectors: list, check."
)
app.add_typer(cli_filter.app, name="filter", help="Conditions on events: check, try.")
app.add_typer(cli_service.app, name="service", help="Services: active ones, their orders.")
app.add_typer(cli_set.app, name="resource-set", help="Settings that services are made of.")
app.add_typer(cli_api_token.app, name="api-token", help="Who may use the REST API.")
app.command()(cli_api_token.audit)

Edr = Annotated[
    list[str],
    typer.Option(
        "--edr",
        metavar="HOST:PORT",
        help="An EDR server to collect from; for a cluster once for each node.",
    ),
]
Name = Annotated[str, typer.Option("--collector", help="Name of the collector that is made.")]


@app.command()
def init(
    path: Dir,
    host: Annotated[str, typer.Option(help="Where the core listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = PORT,
    rest_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="The REST API's; 0: any free port.", show_default="7223"
        ),
    ] = None,
    store: Annotated[
        str, typer.Option(metavar="URL", help="clickhouse://user:password@host:port/database")
    ] = "",
    edr: Edr = [],  # noqa: B006 - typer copies it
    collector: Name = "kedr",
    pins: Pins = [],  # noqa: B006
    authority: Authority = None,
    insecure: Insecure = False,
    max_events: MaxEvents = 0,
    fetch_timeout: FetchTimeout = 0.0,
    client_timeout: ClientTimeout = 0.0,
    filter_text: Filter = "",
    as_json: Json = False,
) -> None:
    """Make the SIEM's folder; with --edr also a first collector."""
    check_name(collector)
    home = init_siem(path, host, port, store, rest_port)
    if not as_json:
        typer.echo(f"The SIEM is set up in {home.path}. Start it: deodar siem run --dir {path}")
    if edr:
        source = edr_source(
            edr, pins, authority, insecure, max_events, fetch_timeout, client_timeout, filter_text
        )
        cli_collector.print_made(add_collector(home, collector, source), path, as_json)
    elif as_json:
        print_json({"folder": str(home.path)})


@app.command()
def run(path: Dir, debug: Debug = False) -> None:
    """Run the core: storage for the collectors, and search."""
    from deodar.siem.core import run_core  # noqa: PLC0415 - the store is slow to import

    logs.configure("siem", debug=debug)
    home = siem_home(path)
    settings = load_siem(home.path / SIEM_SETTINGS)

    async def work(stop: asyncio.Event) -> None:
        await run_core(home, settings, stop=stop, on_ready=print_ready)

    run_until_stopped(work)


@app.command()
def search(
    sql: Annotated[str, typer.Argument(metavar="SELECT", help="SELECT … FROM events …")],
    path: Dir,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Rows, if the statement has no LIMIT.")
    ] = DEFAULT_LIMIT,
    as_json: Json = False,
) -> None:
    """Search the events by one SELECT in ClickHouse's SQL, read-only."""
    from deodar.siem.search.check import check_select  # noqa: PLC0415 - slow to import
    from deodar.siem.search.show import show  # noqa: PLC0415

    check_select(sql, limit=limit)
    home = siem_home(path)
    patience = load_siem(home.path / SIEM_SETTINGS).search.seconds + 30.0
    try:
        answer = control.call(
            home.socket, "POST", "/search", {"sql": sql, "limit": limit}, seconds=patience
        )
    except control.NotRunning as error:
        raise ControlError(
            f"the core does not run; start it: deodar siem run --dir {path}"
        ) from error
    if as_json:
        typer.echo(answer.content, nl=False)
        return
    show(Console(), [json.loads(line) for line in answer.content.splitlines()])


@app.command(name="password-hash")
def password_hash(
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> None:
    """Print a password's hash, for front.password_hash in siem.toml."""
    from deodar.store.front_auth import hash_password  # noqa: PLC0415 - for this command only

    typer.echo(hash_password(password))
