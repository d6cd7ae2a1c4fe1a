"""The running server: opens its parts, serves agents and external systems, stops cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.routing import Mount

from deodar.edr import control, metrics, web
from deodar.edr.admission import Admission
from deodar.edr.agent_api import AgentApi
from deodar.edr.agent_gate import AgentGate
from deodar.edr.api import app as api
from deodar.edr.api.services import Services
from deodar.edr.contacts import Contacts
from deodar.edr.enrolment import Endpoints
from deodar.edr.errors import ControlDataError
from deodar.edr.events_api import EventsApi
from deodar.edr.external_systems import Register
from deodar.edr.filters import FilterStore
from deodar.edr.installation import ADDRESS
from deodar.edr.keeping import retention
from deodar.edr.live_settings import LiveSettings, SettingsStore
from deodar.edr.policies import Policies
from deodar.edr.progress import Progress
from deodar.edr.renewal import Renewals
from deodar.edr.renewal_api import RenewalApi
from deodar.edr.responding import Responding
from deodar.edr.responding_metrics import RespondingMetrics
from deodar.edr.synchronization import Synchronization
from deodar.edr.systems_metrics import SystemsMetrics
from deodar.edr.way_in import ingesting, threads
from deodar.kit.logging import logger
from deodar.kit.metrics import metrics_app
from deodar.kit.serve import Endpoint, Limits, serve
from deodar.tls.contexts import any_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from deodar.edr.database import Database
    from deodar.edr.installation import Installation
    from deodar.kit.serve import Bound
    from deodar.store.engine import Engine

_READERS = 4

log = logger("edr.server")


async def run(
    installation: Installation,
    on_ready: Callable[[str], None],
    stop: asyncio.Event | None = None,
    engine: Engine | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`; `on_ready` gets the server's URL.

    `engine` is an opened store to use, and to leave open, instead of the one in the settings.
    Raises StateError when the folder is in use, StoreError, ControlDataError, ServeError.
    """
    stopping = stop or asyncio.Event()
    async with _parts(installation, stopping, engine) as (parts, app):
        endpoints = _endpoints(installation, parts, app)

        def ready(bound: Sequence[Bound]) -> None:
            parts.url = installation.url_at(bound[0].port)
            if parts.node is not None:
                parts.node.presence.url = f"{socket.gethostname()}:{bound[0].port}"
            installation.directory.write(ADDRESS, f"{parts.url}\n".encode())
            log.info("ready", url=parts.url, last_seq=parts.log.watermark.value)
            on_ready(parts.url)

        try:
            await serve(endpoints, stop=stopping, on_ready=ready)
        finally:
            (installation.directory.path / ADDRESS).unlink(missing_ok=True)


def print_ready(url: str) -> None:
    """Print the line by which others see that the server can be used."""
    line = json.dumps({"ready": True, "url": url, "pid": os.getpid()})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextlib.asynccontextmanager
async def _parts(
    installation: Installation, stop: asyncio.Event, engine: Engine | None
) -> AsyncIterator[tuple[control.Parts, Starlette]]:
    async with ingesting(installation, stop, engine) as way_in:
        with (
            contextlib.closing(installation.database()) as database,
            threads("read", _READERS) as readers,
        ):
            settings = installation.settings
            keeper = retention(settings, way_in.engine, way_in.log, database)
            live = LiveSettings(SettingsStore(database, settings), settings)
            register = Register(database, settings.external_systems)
            admission, progress = Admission(), Progress(database)
            registry = metrics.registry(
                way_in.log, way_in.dead_letters, keeper.account, way_in.space
            )
            registry.register(SystemsMetrics(way_in.log, register, admission))
            if way_in.node is not None:
                registry.register(way_in.node.metrics())
            parts = control.Parts(
                server_id=installation.server_id,
                log=way_in.log,
                ingest=way_in.ingest,
                dead_letters=way_in.dead_letters,
                register=register,
                registry=registry,
                node=way_in.node,
            )
            live.subscribe(lambda now: register.follow(now.external_systems))
            contacts = Contacts(database)
            endpoints = Endpoints(database, contacts)
            gate = AgentGate(endpoints, installation.authority)
            responding = Responding(installation, database, gate, register, admission, live)
            registry.register(RespondingMetrics(database, responding))
            events = EventsApi(
                parts.log,
                register,
                FilterStore(database),
                installation.token_key,
                live,
                admission,
                progress,
                readers,
            )
            async with (
                keeper.running(),
                live.followed(),
                progress.written(),
                responding.running(stop),
                contacts.written(),
            ):
                yield (
                    parts,
                    _app(installation, parts, database, events, responding, live, endpoints, gate),
                )


def _app(
    installation: Installation,
    parts: control.Parts,
    database: Database,
    events: EventsApi,
    responding: Responding,
    live: LiveSettings,
    endpoints: Endpoints,
    gate: AgentGate,
) -> Starlette:
    """Return the application for agents and external systems."""
    settings = installation.settings

    def days() -> int:
        return live.current.fleet.certificate_days

    agents = AgentApi(
        gate,
        endpoints,
        parts.ingest,
        Synchronization(database, Policies(database), installation.server_id),
        installation.authority,
        installation.server_id,
        settings.ingest,
        days,
    )
    app = Starlette(
        routes=[
            *events.routes,
            *agents.routes,
            *responding.routes,
            *RenewalApi(gate, Renewals(database, installation.authority, days)).routes,
            _management(Services(installation, database, parts, responding.tasking)),
        ],
        exception_handlers={
            404: _not_found,
            405: _not_allowed,
            ControlDataError: _no_control_data,
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False
    return app


def _management(services: Services) -> Mount:
    return Mount(api.PREFIX, app=api.make(services))


def _endpoints(installation: Installation, parts: control.Parts, app: Any) -> list[Endpoint]:
    settings, server = installation.settings, installation.server
    limits = Limits(connections=settings.connections)
    tls = any_client(server.certificate, server.key)
    local: Any = control.control_app(parts)  # Starlette's and uvicorn's types name ASGI apart
    endpoints = [
        Endpoint(app, settings.host, settings.port, tls=tls, limits=limits),
        Endpoint(local, path=installation.directory.socket),
    ]
    if settings.metrics_port:
        exported: Any = metrics_app(parts.registry)
        endpoints.append(Endpoint(exported, "127.0.0.1", settings.metrics_port))
    return endpoints


async def _not_found(_request: Request, _error: Exception) -> Response:
    return web.refusal(404, "Not Found")


async def _not_allowed(_request: Request, _error: Exception) -> Response:
    return web.refusal(405, "Method Not Allowed")


async def _no_control_data(_request: Request, error: Exception) -> Response:
    log.error("control_data_unavailable", reason=str(error))
    return web.refusal(503, "Service Unavailable: the server's database does not answer", 5)


async def _failed(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, reason=repr(error), exc_info=error)
    return web.refusal(500, "Internal Server Error")
