"""A collector as a service: the supervisor, the link to the core, and the collector itself."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import httpx
import msgspec

from deodar import __version__
from deodar.siem.collector.board import Report
from deodar.siem.collector.service import run_collector
from deodar.siem.services.host.link import Link
from deodar.siem.services.host.log_lines import LogLines
from deodar.siem.services.host.port import keep_open
from deodar.siem.services.host.supervisor import Supervisor
from deodar.siem.services.wire import Host

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.kit.directory import StateDirectory
    from deodar.siem.services.host.identity import Identity
    from deodar.siem.services.host.source import Source
    from deodar.siem.settings import CollectorSettings

_LOOK_SECONDS = 10.0


def this_host(api_port: int = 0) -> Host:
    """Return what a service says of where it runs."""
    return Host(socket.getfqdn()[:255], __version__, api_port)


async def run_service(
    home: StateDirectory,
    source: Source,
    identity: Identity,
    *,
    host: Host,
    from_core: bool,
    program: str,
    debug: bool,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> bool:
    """Run a collector until `stop` is set or the core orders a restart; returns whether it did.

    Raises ServiceDeleted, and what the collector raises when it cannot work.
    """

    async def work(
        settings: CollectorSettings, ending: asyncio.Event, begun: Callable[[], None]
    ) -> None:
        await run_collector(home, settings, stop=ending, on_ready=begun)

    async def look() -> Report | None:
        return await _look(home)

    lines = LogLines()
    end_listening = lines.listen()
    link = Link(identity, host, lines, look, home.path, program, debug)
    supervisor = Supervisor(source, work, link.settings if from_core else None)
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(link.run(supervisor))]
            if host.api_port:
                beside.append(group.create_task(keep_open(home, host.api_port, stop)))
            again = await supervisor.run(stop, on_ready)
            for task in beside:
                task.cancel()
        return again
    finally:
        end_listening()
        await identity.close()


async def _look(home: StateDirectory) -> Report | None:
    """Return what the collector in this process says over its control socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(home.socket))
    with contextlib.suppress(httpx.HTTPError, msgspec.MsgspecError, OSError):
        async with httpx.AsyncClient(
            transport=transport, timeout=_LOOK_SECONDS, trust_env=False
        ) as client:
            answer = await client.get("http://local/status")
        return msgspec.json.decode(answer.content, type=Report)
    return None
