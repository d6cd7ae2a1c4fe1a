"""``deodar siem service``: the active services, and what can be done with them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deodar.siem import control
from deodar.siem.cli_options import Dir, Json, plain, print_json, siem_home, when
from deodar.siem.errors import ControlError
from deodar.siem.settings import load_siem
from deodar.siem.setup import SIEM_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deodar.siem.services.admin import Made
    from deodar.siem.services.core import ServiceCore
    from deodar.siem.services.service import Row

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The service's name or id.")]
_STYLES = {"grey": "bright_black"}


@contextlib.contextmanager
def services(path: Path) -> Iterator[ServiceCore]:
    """Open what is known of services in a SIEM's folder; raises StateError, ControlDataError."""
    from deodar.siem.services.core import opened  # noqa: PLC0415 - it needs a database

    home = siem_home(path)
    with opened(home, load_siem(home.path / SIEM_SETTINGS)) as core:
        yield core


@app.command()
def add(
    name: Name,
    path: Dir,
    set_name: Annotated[
        str, typer.Option("--set", help="The resource set that it is made of.", metavar="SET")
    ],
    as_json: Json = False,
) -> None:
    """Make a service of a resource set, and print the command that installs it on a host."""
    from deodar.siem.services import admin  # noqa: PLC0415 - it needs a database

    with services(path) as core:
        _print_made(core, admin.add(core, name, set_name), as_json)


@app.command()
def token(name: Name, path: Dir, as_json: Json = False) -> None:
    """Print the install command with a new token; the one before is void."""
    from deodar.siem.services import admin  # noqa: PLC0415

    with services(path) as core:
        _print_made(core, admin.token(core, name), as_json)


@app.command(name="list")
def list_(
    path: Dir,
    status: Annotated[
        str, typer.Option(help="Only of this colour: blue, green, yellow, red, grey.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show the active services."""
    from deodar.siem.services import admin  # noqa: PLC0415

    with services(path) as core:
        rows = admin.rows(core, status)
    if as_json:
        for row in rows:
            print_json(msgspec.to_builtins(row))
        return
    table = Table(show_edge=False)
    for heading in _TABLE:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*_cells(row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=300)
    console.print(table if rows else "there are no services")


@app.command()
def show(name: Name, path: Dir, as_json: Json = False) -> None:
    """Show one service: status and reason, host, versions, what holds."""
    from deodar.siem.services import admin  # noqa: PLC0415

    with services(path) as core:
        row = admin.row(core, name)
    if as_json:
        print_json(msgspec.to_builtins(row))
        return
    lines = Table(show_header=False, box=None)
    lines.add_row("status", Text.assemble(_coloured(row.status), plain(f"  {row.reason}")))
    for key in ("name", "kind", "id", "version", "tenant_id", "fqdn", "address", "api_port"):
        lines.add_row(key.replace("_", " "), plain(str(getattr(row, key) or "-")))
    lines.add_row("uptime", _uptime(row.uptime))
    for key in ("created_us", "paired_us", "reported_us"):
        lines.add_row(key.removesuffix("_us"), when(getattr(row, key) / 1e6))
    lines.add_row("version of its set", _versions(row))
    for alert in row.alerts:
        lines.add_row(alert.name, plain(f"{alert.reason}, since {when(alert.since_us / 1e6)}"))
    Console().print(lines)


@app.command()
def restart(name: Name, path: Dir, as_json: Json = False) -> None:
    """Have a service's process start again, with the newest version of its set."""
    with services(path) as core:
        _tell(core.register.restart(name).name, "restarts with its next report", as_json)


@app.command()
def reload(name: Name, path: Dir, as_json: Json = False) -> None:
    """Have a service take the newest version of its set in the running process."""
    with services(path) as core:
        _tell(core.register.reload(name).name, "reloads with its next report", as_json)


@app.command()
def disable(name: Name, path: Dir, as_json: Json = False) -> None:
    """Have a service stop its work and keep what it has."""
    with services(path) as core:
        _tell(core.register.disable(name, disabled=True).name, "is disabled", as_json)


@app.command()
def enable(name: Name, path: Dir, as_json: Json = False) -> None:
    """Have a disabled service go on."""
    with services(path) as core:
        _tell(core.register.disable(name, disabled=False).name, "is enabled", as_json)


@app.command()
def debug(
    name: Name,
    path: Dir,
    on: Annotated[bool, typer.Option("--on/--off", help="Log every request, or no longer.")] = True,
    as_json: Json = False,
) -> None:
    """Have a running service log more, or no longer."""
    with services(path) as core:
        service = core.register.debug(name, on=on)
        _tell(service.name, f"logs {'every request' if on else 'as usual'}", as_json)


@app.command(name="reset-certificate")
def reset_certificate(
    name: Name,
    path: Dir,
    new_token: Annotated[
        bool,
        typer.Option(
            "--new-token", help="Its host is not trusted: only a new token gets the next one."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Refuse a service's certificate at once; it gets another one by the way that is printed."""
    from deodar.siem.services import admin  # noqa: PLC0415

    with services(path) as core:
        done = admin.reset_certificate(core, name, new_token=new_token)
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    typer.echo(f"{done.name} gets another certificate {done.how}")
    if done.command:
        typer.echo(done.command)


@app.command()
def delete(
    name: Name,
    path: Dir,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget a service: its certificate is refused, and it ends with its next report."""
    if not yes:
        typer.confirm(
            f"What {name} has not delivered yet stays on its host. Delete it?", abort=True
        )
    with services(path) as core:
        _tell(core.register.delete(name).name, "is deleted", as_json)


@app.command()
def log(
    name: Name,
    path: Dir,
    lines: Annotated[int, typer.Option(min=1, max=2000, help="How many, the last ones.")] = 100,
    as_json: Json = False,
) -> None:
    """Show the last lines of a service's log, as the running core has them."""
    with services(path) as core:
        service = core.register.find(name)
        socket = core.home.socket
    query = f"/service-log?service={service.id}&lines={lines}"
    try:
        found: list[dict[str, Any]] = json.loads(control.call(socket, "GET", query).content)
    except control.NotRunning as error:
        raise ControlError(
            f"the core does not run; start it: deodar siem run --dir {path}"
        ) from error
    for line in found:
        if as_json:
            print_json(line)
        else:
            text = f"{when(line['time'])} {line['level']:7} {line['text']}"
            typer.echo(plain(text).plain)


@app.command()
def metrics(name: Name, path: Dir) -> None:
    """Print a service's metrics in Prometheus's form, as it tells them on its API port."""
    from deodar.siem.services.asking import ask  # noqa: PLC0415

    with services(path) as core:
        typer.echo(ask(core.home, core.register.find(name), "metrics").text, nl=False)


@app.command()
def events(name: Name, path: Dir, as_json: Json = False) -> None:
    """Print the search for the events that a service brought."""
    from deodar.siem.services import admin  # noqa: PLC0415

    with services(path) as core:
        found = admin.events(core, name)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    typer.echo(found.sql)
    typer.echo(f'Run it: deodar siem search "{found.sql}" --dir {path}', err=True)


_TABLE = (
    "status", "kind", "name", "version", "tenant", "FQDN", "address", "API port", "uptime",
    "created", "id", "reason",
)  # fmt: skip


def _cells(row: Row) -> list[Text]:
    texts = [row.kind, row.name, row.version, row.tenant_id, row.fqdn, row.address]
    port = str(row.api_port) if row.api_port else ""
    more = [port, _uptime(row.uptime), when(row.created_us / 1e6).partition(" (")[0], row.id]
    return [_coloured(row.status), *(plain(text) for text in [*texts, *more, row.reason])]


def _versions(row: Row) -> str:
    if not row.set_id:
        return "-"
    behind = row.wanted_version if row.wanted_version != row.set_version else 0
    return f"{row.set_version}" + (f" ({behind} is ordered)" if behind else "")


def _uptime(seconds: int) -> str:
    if not seconds:
        return "-"
    days, rest = divmod(seconds, 86_400)
    return f"{days} d {rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"


def _coloured(colour: str) -> Text:
    return Text(colour, style=_STYLES.get(colour, colour))


def _tell(name: str, what: str, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "done": what})
    else:
        typer.echo(f"{name} {what}")


def _print_made(core: ServiceCore, made: Made, as_json: bool) -> None:
    from deodar.siem.services.addresses import is_loopback  # noqa: PLC0415

    if as_json:
        print_json(msgspec.to_builtins(made))
        return
    until = when(made.token_expires_us / 1e6).partition(" (")[0]
    typer.echo(f"Service {made.name}, id {made.id}. Run on its host, until {until}:\n")
    typer.echo(f"  sudo {made.command} --install\n")
    typer.echo("Without --install it runs in the foreground. The token is good once.")
    if is_loopback(core.settings):
        typer.echo(
            f"The core listens on {core.settings.host}: only services on this host reach it. Set "
            "host in siem.toml for others.",
            err=True,
        )
