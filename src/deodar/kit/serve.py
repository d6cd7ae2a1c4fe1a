"""Serving HTTP: uvicorn's HTTP/1.1 implementation on any number of listeners in one event loop.

What is added to uvicorn: the client's certificate in each request's scope, limits against clients
that stall or flood (TLS handshake, headers, reading of the answer), unix sockets that only their
owner may use, and a stop that ends within a known time, also under long polls.

An application finds in each request's scope:

- ``scope["client_certificate"]``: the DER that the TLS client showed, or None;
- ``scope["state"]["stop"]``: the `asyncio.Event` of the stop, for long polls to watch.

Addresses in the scope are those of the connection; forwarding headers are never trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import threading
from asyncio import sslproto
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from deodar.kit.background import background
from deodar.kit.http import Limits, Protocol, bounded
from deodar.kit.listeners import ServeError, listening
from deodar.kit.logging import logger

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from uvicorn._types import ASGI3Application

__all__ = ["Bound", "Endpoint", "Limits", "ServeError", "raise_file_limit", "serve"]

_log = logger("serve")
_TICK = 1.0  # seconds between refreshes of the Date header
_BACKLOG = 512
_FILES = 65_536
_RECEIVED = 65_536  # bytes that are taken off a TLS connection at a time
_FAREWELL = 0.5  # seconds for clients to take the last bytes and to close
_APPLICATION_STOP = 30.0  # seconds that an application's own shutdown may take

# What comes off the wire at a time until a handshake is complete; see deodar.kit.tls_buffers.
sslproto.SSLProtocol.max_size = 16_384


@dataclass(frozen=True)
class Endpoint:
    """One listener: TCP on `host` and `port` (0: any free one), or a unix socket at `path`.

    `tls` makes it HTTPS. Of one application behind several endpoints the lifespan runs once.
    """

    app: ASGI3Application
    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None
    tls: ssl.SSLContext | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Bound:
    """Where an endpoint listens in fact: the real port, or 0 and a path for a unix socket."""

    host: str
    port: int
    path: Path | None = None
    secure: bool = False

    @property
    def url(self) -> str:
        """The base URL, such as ``https://127.0.0.1:9443``; ``unix:PATH`` for a unix socket."""
        if self.path is not None:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


async def serve(
    endpoints: Sequence[Endpoint],
    *,
    stop: asyncio.Event,
    on_ready: Callable[[list[Bound]], None] | None = None,
    grace: float = 5.0,
) -> None:
    """Serve until `stop` is set, which SIGTERM and SIGINT do as well.

    `on_ready` gets where each endpoint listens, in their order, once all of them do. After the
    stop nothing new is accepted; requests that have not ended after `grace` seconds are answered
    with 503, or cut off if their answer had begun. A second signal ends the grace at once. Returns
    when all is closed. Raises ServeError when a listener or an application cannot start; then none
    is left open.
    """
    raise_file_limit()
    hurry = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        listeners = [
            stack.enter_context(listening(endpoint.host, endpoint.port, endpoint.path))
            for endpoint in endpoints
        ]
        stack.enter_context(_forwarded_logs())
        stack.enter_context(_signals(stop, hurry))
        services = [_Service(endpoint, stop) for endpoint in endpoints]
        await stack.enter_async_context(_lifespans(services))
        await stack.enter_async_context(_ticking(services))
        try:
            for service, listener in zip(services, listeners, strict=True):
                await service.start(listener)
            if on_ready is not None:
                on_ready([_bound(*pair) for pair in zip(endpoints, listeners, strict=True)])
            await stop.wait()
        finally:
            await _close(services, grace, hurry)


class _Service:
    """One endpoint's uvicorn configuration, shared state and listener."""

    def __init__(self, endpoint: Endpoint, stop: asyncio.Event) -> None:
        self.endpoint = endpoint
        self.state = ServerState()
        self.app_state: dict[str, Any] = {"stop": stop}
        self.stopping = stop
        self._received = memoryview(bytearray(_RECEIVED))
        self._server: asyncio.Server | None = None
        limits = endpoint.limits
        self.config = Config(
            bounded(endpoint.app, stop),
            interface="asgi3",
            http=Protocol,
            ws="none",
            lifespan="auto",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=limits.keep_alive,
        )
        self.config.load()

    async def start(self, listener: socket.socket) -> None:
        limits, tls = self.endpoint.limits, self.endpoint.tls
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol,
            sock=listener,
            ssl=tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=limits.handshake if tls else None,
            ssl_shutdown_timeout=limits.closing if tls else None,
        )

    def _protocol(self) -> Protocol:
        return Protocol(
            self.config,
            self.state,
            self.app_state,
            limits=self.endpoint.limits,
            received=self._received,
        )

    def refuse(self) -> None:
        """Accept nothing more; idle connections are closed, busy ones after their answer."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.state.connections):
            connection.shutdown()

    def abort(self) -> None:
        for connection in list(self.state.connections):
            if connection.transport is not None:
                connection.transport.abort()


def raise_file_limit() -> None:
    """Let this process have as many connections as it is allowed to; the default is 1,024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# Stopping


async def _close(services: Sequence[_Service], grace: float, hurry: asyncio.Event) -> None:
    for service in services:
        service.stopping.set()
        service.refuse()
    if not await _drained(services, grace, hurry):
        tasks = [task for service in services for task in service.state.tasks]
        _log.info("requests cut off at the stop", count=len(tasks))
        for task in tasks:
            task.cancel()
        await _drained(services, 1.0, asyncio.Event())
    for service in services:
        service.abort()
    await asyncio.sleep(0)  # lets the transports report their end


async def _drained(services: Sequence[_Service], grace: float, hurry: asyncio.Event) -> bool:
    """Wait up to `grace` seconds for requests to end; return whether they did.

    Connections get a little more to be closed: an idle TLS client may never answer to that.
    """

    def busy() -> bool:
        return any(service.state.tasks for service in services)

    def open_() -> bool:
        return any(service.state.connections for service in services)

    await _until(lambda: not busy() or hurry.is_set(), grace)
    if busy():
        return False
    await _until(lambda: not open_() or hurry.is_set(), _FAREWELL)
    return True


async def _until(condition: Callable[[], bool], limit: float) -> None:
    deadline = asyncio.get_running_loop().time() + limit
    # uvicorn's sets of tasks and connections give no notice of a change.
    while not condition() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


@contextlib.contextmanager
def _signals(stop: asyncio.Event, hurry: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set `stop`, and `hurry` from the second time on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stopped() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


# Applications and their surroundings


@contextlib.asynccontextmanager
async def _lifespans(services: Sequence[_Service]) -> AsyncIterator[None]:
    """Run each application's lifespan once; what it puts into its state, requests find there."""
    first = {id(service.endpoint.app): service for service in reversed(services)}
    started: dict[int, LifespanOn] = {}
    try:
        for key, service in first.items():
            lifespan = LifespanOn(service.config)
            await lifespan.startup()
            if lifespan.should_exit:
                raise ServeError(f"the application {service.endpoint.app!r} failed to start")
            started[key] = lifespan
        for service in services:
            service.app_state.update(started[id(service.endpoint.app)].state)
        yield
    finally:
        for lifespan in started.values():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lifespan.shutdown(), _APPLICATION_STOP)


@contextlib.asynccontextmanager
async def _ticking(services: Sequence[_Service]) -> AsyncIterator[None]:
    """Keep the Date header of all answers right."""

    async def tick() -> None:
        while True:
            date = formatdate(usegmt=True).encode()
            for service in services:
                service.state.default_headers = [(b"date", date)]
            await asyncio.sleep(_TICK)

    async with background(tick(), "Date header"):
        await asyncio.sleep(0)
        yield


class _Forward(logging.Handler):
    """Hands uvicorn's errors to this program's own log; what bad clients do is not among them."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.log(record.levelno, record.getMessage().strip(), exc_info=record.exc_info)


@contextlib.contextmanager
def _forwarded_logs() -> Iterator[None]:
    source, handler = logging.getLogger("uvicorn.error"), _Forward(logging.ERROR)
    before = source.propagate
    source.addHandler(handler)
    source.propagate = False
    try:
        yield
    finally:
        source.removeHandler(handler)
        source.propagate = before


def _bound(endpoint: Endpoint, listener: socket.socket) -> Bound:
    if endpoint.path is not None:
        return Bound("", 0, endpoint.path, endpoint.tls is not None)
    host, port = listener.getsockname()[:2]
    return Bound(str(host), int(port), None, endpoint.tls is not None)
