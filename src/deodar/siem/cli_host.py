"""``deodar siem collector --core … --id …``: a collector as a service on any host.

This is the command that the core prints. The first time it pairs the service with the core; with
``--install`` it goes on as a unit of systemd, without it runs until it is stopped.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from deodar.kit import logging as logs
from deodar.kit.errors import SettingsError
from deodar.siem.cli_options import print_ready, run_until_stopped

if TYPE_CHECKING:
    import asyncio


def main(
    context: typer.Context,
    core: Annotated[
        str, typer.Option("--core", metavar="URL", help="The core: https://HOST:7210.")
    ] = "",
    service_id: Annotated[
        str, typer.Option("--id", metavar="ID", help="The service's id, which the core gave.")
    ] = "",
    pin: Annotated[
        str,
        typer.Option("--pin", metavar="SHA256", help="Fingerprint of the core's authority."),
    ] = "",
    token: Annotated[
        str,
        typer.Option(
            "--token",
            envvar="DEODAR_SERVICE_TOKEN",
            metavar="TOKEN",
            help="The one-time token; needed for pairing alone.",
        ),
    ] = "",
    api_port: Annotated[
        int,
        typer.Option("--api-port", min=0, max=65535, help="Where the service answers; 0: nowhere."),
    ] = 0,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", metavar="DIR", help="Its state; /var/lib/deodar/collector-ID by default."
        ),
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Make it a unit of systemd and start that (root).")
    ] = False,
    uninstall: Annotated[
        bool, typer.Option("--uninstall", help="Stop and remove the unit (root).")
    ] = False,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="With --uninstall: its state too, with what is not sent yet."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log every request.")] = False,
) -> None:
    """Collectors: make, run, look at; with --core and --id run one for a core elsewhere."""
    if context.invoked_subcommand is not None:
        return
    if not core or not service_id:
        raise SettingsError("give --core and --id, as the core printed them, or a command")
    from deodar.siem.services.host import unit  # noqa: PLC0415 - for this way alone
    from deodar.siem.services.host.home import checked_id, default_folder  # noqa: PLC0415

    id_ = checked_id(service_id)
    place = (folder or default_folder(id_)).absolute()
    if uninstall:
        typer.echo(unit.uninstall(id_, place, purge=purge))
        return
    _run(core, id_, pin, token, api_port, place, install, debug)


def _run(
    core: str,
    service_id: str,
    pin: str,
    token: str,
    api_port: int,
    place: Path,
    install: bool,
    debug: bool,
) -> None:
    from deodar.siem.services.host import start, unit  # noqa: PLC0415 - slow to import
    from deodar.siem.services.host.home import open_service  # noqa: PLC0415

    program = f"collector {service_id[:8]}"
    logs.configure(program, debug=debug)
    if install:
        unit.check_host()
    home = open_service(place, core, service_id, api_port)
    start.pair_if_needed(home, pin, token)
    if install:
        typer.echo(unit.install(home))
        return
    details = {"name": home.settings.name, "id": service_id}
    again = False

    async def work(stop: asyncio.Event) -> None:
        nonlocal again
        ready = partial(print_ready, details)
        again = await start.run_paired(home, debug=debug, program=program, stop=stop, ready=ready)

    run_until_stopped(work)
    if again:
        start.begin_again()
