"""Starting a service: pairing if need be, then running it, again and again if the core says so."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from deodar.kit.errors import SettingsError
from deodar.kit.logging import logger
from deodar.siem.collector.home import settings_of
from deodar.siem.services.host.client import pair
from deodar.siem.services.host.identity import InCoresFolder, Paired
from deodar.siem.services.host.run import run_service, this_host
from deodar.siem.services.host.source import FromCore, OwnFile
from deodar.siem.services.wire import hash_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from deodar.kit.directory import StateDirectory
    from deodar.siem.services.host.home import ServiceHome

_log = logger("siem.service")


def pair_if_needed(home: ServiceHome, pin: str, token: str) -> bool:
    """Pair a service that has no certificate, or whose token is a new one; returns whether it did.

    Raises SettingsError when something for that is missing, PairingRefused, CoreUnavailable.
    """
    if token and home.was_paired_by(hash_of(token)):
        return False
    if home.paired and not token:
        return False
    if not token or not pin:
        raise SettingsError(
            "this service is not paired yet: give --token and --pin; the whole command is made on "
            "the core's host by: deodar siem service token NAME"
        )
    asyncio.run(pair(home, pin, token, this_host(home.settings.api_port)))
    _log.info("paired", core=home.settings.core, service=home.settings.name)
    return True


async def run_paired(
    home: ServiceHome, *, debug: bool, program: str, stop: asyncio.Event, ready: Callable[[], None]
) -> bool:
    """Run a paired service; returns whether the core orders its process to start again."""
    return await run_service(
        home.folder,
        FromCore(home),
        Paired(home),
        host=this_host(home.settings.api_port),
        from_core=True,
        program=program,
        debug=debug,
        stop=stop,
        on_ready=ready,
    )


async def run_own(
    home: StateDirectory,
    *,
    debug: bool,
    program: str,
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> bool:
    """Run a collector of the core's host; returns whether its process is to start again."""
    settings = settings_of(home)
    identity = InCoresFolder(home, settings.core.url, settings.service_id)
    return await run_service(
        home,
        OwnFile(home),
        identity,
        host=this_host(),
        from_core=False,
        program=program,
        debug=debug,
        stop=stop,
        on_ready=ready,
    )


def begin_again() -> NoReturn:
    """Replace this process by a new one with the same words; its id stays."""
    _log.info("starting again, as the core orders")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own words
