"""The core: it owns the store, takes batches from collectors, and answers searches.

One process holds the store's folder. The storage service listens on TLS for collectors; local
commands come over the control socket; the ClickHouse front is there only when the settings say so.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

import msgspec
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger
from deodar.kit.serve import Endpoint, serve
from deodar.siem.metrics_port import metrics_endpoints, metrics_route
from deodar.siem.search import DEFAULT_LIMIT
from deodar.siem.search.run import json_lines, run_search
from deodar.siem.services import core as services
from deodar.siem.services.api import app as api
from deodar.siem.services.local import adopt_all
from deodar.siem.services.own import OwnStorage
from deodar.siem.services.service_api import ServiceApi
from deodar.siem.services.wire import PREFIX
from deodar.siem.storage.schema import MIGRATIONS
from deodar.siem.storage.service import StorageService
from deodar.store.engine import open_engine
from deodar.store.migrations import migrate
from deodar.tls.certificates import load_pair
from deodar.tls.contexts import any_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from deodar.kit.directory import StateDirectory
    from deodar.kit.serve import Bound
    from deodar.siem.services.core import ServiceCore
    from deodar.siem.settings import FrontSettings, SiemSettings
    from deodar.store.engine import Engine

SEARCHES_AT_ONCE = 4
_log = logger("siem.core")


class SearchRequest(msgspec.Struct, frozen=True):
    """A search as it comes over the control socket."""

    sql: str
    limit: int = DEFAULT_LIMIT


async def run_core(
    home: StateDirectory,
    settings: SiemSettings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[dict[str, str]], None],
) -> None:
    """Run until `stop` is set; `on_ready` gets the URLs once all listens.

    They are `url`, that of collectors and other services, and `api`, that of the REST API.

    Raises StateError when another process has the folder, StoreError or MigrationError when the
    store cannot be used, ServeError when a port is taken.
    """
    with (
        home.lock(),
        _store(home.path, settings) as engine,
        services.opened(home, settings) as known,
    ):
        adopt_all(known)
        storage = StorageService(engine, known.gate, settings.storage)
        own = OwnStorage(known, engine, storage)
        pair = load_pair(home.read("core.pem"))
        context = any_client(pair.certificate, pair.key)
        ours = _for_services(storage, ServiceApi(known, home.read("authority.pem")))
        registry = metrics_of(storage)
        endpoints = [
            Endpoint(ours, settings.host, settings.port, tls=context),
            Endpoint(cast("Any", api.make(known)), settings.host, settings.rest_port, tls=context),
            Endpoint(
                control_app(engine, storage, settings, known, own, registry), path=home.socket
            ),
            *_front(engine, settings.front),
            *metrics_endpoints(lambda: registry, settings.metrics_host, settings.metrics_port),
        ]

        def ready(bound: list[Bound]) -> None:
            on_ready({"url": bound[0].url, "api": bound[1].url})

        async with known.watch.running(), own.running():
            await serve(endpoints, stop=stop, on_ready=ready)


def _for_services(storage: StorageService, api: ServiceApi) -> Any:
    """Return the application on the core's port, for collectors and other services."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = api if scope.get("path", "").startswith(PREFIX) else storage
        await chosen(scope, receive, send)

    return app


@contextlib.contextmanager
def _store(folder: Path, settings: SiemSettings) -> Iterator[Engine]:
    engine = open_engine(settings.store or f"chdb://{folder / 'store'}")
    try:
        applied = migrate(engine, "siem", MIGRATIONS)
        if applied:
            _log.info("the store's schema was brought up to date", migrations=applied)
        yield engine
    finally:
        engine.close()


def _front(engine: Engine, settings: FrontSettings) -> list[Endpoint]:
    if not settings.enabled:
        return []
    from deodar.store import front  # noqa: PLC0415 - off by default

    chosen = front.FrontSettings(
        user=settings.user,
        password_hash=settings.password_hash,
        allow_writes=settings.allow_writes,
    )
    app = cast("Any", front.front_app(engine, chosen))
    return [Endpoint(app, settings.host, settings.port)]


def control_app(
    engine: Engine,
    storage: StorageService,
    settings: SiemSettings,
    known: ServiceCore,
    own: OwnStorage,
    registry: CollectorRegistry,
) -> Any:
    """Return the application behind the core's control socket: status, metrics, search, logs."""
    places = asyncio.Semaphore(SEARCHES_AT_ONCE)

    async def status(_request: Request) -> Response:
        counts = {"stored": storage.stored, "batches": storage.batches, "refused": storage.refused}
        return Response(msgspec.json.encode(counts), media_type="application/json")

    async def search(request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body(), type=SearchRequest)
            own.searched()
            async with places:
                lines = await asyncio.to_thread(_search, engine, wanted, settings)
        except msgspec.MsgspecError as error:
            return PlainTextResponse(f"no search request: {error}", 400)
        except DeodarError as error:
            return PlainTextResponse(str(error), 422)
        return Response(lines, media_type="application/x-ndjson")

    async def log(request: Request) -> Response:
        service, most = request.query_params["service"], int(request.query_params["lines"])
        lines = known.watch.lines(service, most)
        return Response(msgspec.json.encode(lines), media_type="application/json")

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/service-log", log),
            Route("/search", search, methods=["POST"]),
            metrics_route(lambda: registry),
        ]
    )


def _search(engine: Engine, wanted: SearchRequest, settings: SiemSettings) -> bytes:
    return json_lines(run_search(engine, wanted.sql, settings.search, limit=wanted.limit))


def metrics_of(storage: StorageService) -> CollectorRegistry:
    """Return the core's metrics, with those of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for name, text in (
        ("stored", "Rows stored since the start"),
        ("batches", "Batches stored since the start"),
        ("refused", "Batches refused since the start"),
    ):
        gauge = Gauge(f"deodar_core_{name}", text, registry=registry)
        gauge.set_function(lambda name=name: getattr(storage, name))  # type: ignore[misc]
    return registry
