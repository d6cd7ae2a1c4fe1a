"""One HTTP connection: uvicorn's protocol with a client certificate and limits on slow clients.

Without them a client may keep a connection without ever completing a request (slow loris), send
headers without end, or never read its answer; uvicorn bounds none of the three.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from deodar.kit.tls_buffers import share_buffer

if TYPE_CHECKING:
    from uvicorn._types import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        Scope,
    )
    from uvicorn.config import Config
    from uvicorn.server import ServerState

_SLICE = 262_144  # bytes of an answer that are written before the client's pace is looked at
_TOO_LARGE = b"The request's headers are too large.\n"
_TOO_SLOW = b"The request's headers did not come in time.\n"
_NO_UPGRADE = b"A request with a body cannot change the protocol; leave out Upgrade.\n"
_BODY_HEADERS = frozenset((b"content-length", b"transfer-encoding"))
_STOPPING = b"The server is stopping; try again.\n"


@dataclass(frozen=True)
class Limits:
    """What one client may ask of a listener; times in seconds, sizes in bytes."""

    handshake: float = 10.0  # for the TLS handshake
    headers: float = 15.0  # from connecting, or from a request's first byte, to the headers' end
    header_bytes: int = 65_536  # request line and headers
    keep_alive: int = 75  # without a request
    stalled: float = 60.0  # without taking the next part of an answer, some 256 KB
    closing: float = 10.0  # for the end of TLS
    connections: int = 4_096  # at one time on this listener; more get 503


class Protocol(HttpToolsProtocol):
    """One client's connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        limits: Limits,
        received: memoryview,
    ) -> None:
        """`received` is where the loop's TLS connections put what comes off the wire."""
        super().__init__(config, server_state, app_state)
        self._limits = limits
        self._received = received
        self._certificate: bytes | None = None
        self._in_headers = True  # or between requests
        self._heads = 0  # complete ones so far
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember who the client is, and give it a limited time for its first request."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._certificate = tls.getpeercert(True)
            share_buffer(transport, self._received)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers; the rest is uvicorn's."""
        _cancel(self._header_timer)
        _cancel(self._stall_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; bound the size and the time of headers that are not complete."""
        in_headers, heads = self._in_headers, self._heads
        super().data_received(data)
        if not in_headers or self._heads != heads or self.transport.is_closing():
            return
        self._header_bytes += len(data)
        if self._header_bytes > self._limits.header_bytes:
            self._refuse(431, _TOO_LARGE)
        elif self._header_timer is None:
            self._await_headers()

    def on_message_begin(self) -> None:
        """Start the scope of a request."""
        super().on_message_begin()
        scope: Any = self.scope
        scope["client_certificate"] = self._certificate
        self._header_bytes = 0
        if self._header_timer is None:
            self._await_headers()

    def on_headers_complete(self) -> None:
        """Start the application, or refuse headers that came whole but are too large."""
        _cancel(self._header_timer)
        self._header_timer = None
        self._in_headers = False
        self._header_bytes = 0
        self._heads += 1
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self._limits.header_bytes:
            self.app = _answer(431, _TOO_LARGE)
        elif self.parser.should_upgrade() and not _BODY_HEADERS.isdisjoint(
            name for name, _ in self.headers
        ):
            self.app = _answer(400, _NO_UPGRADE)  # the parser would lose the body
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request's body; what follows are the next one's headers."""
        super().on_message_complete()
        self._in_headers = True

    def on_response_complete(self) -> None:
        """Go on to the next request; the rest of a body that nobody wanted may not last long."""
        super().on_response_complete()
        if not self._in_headers and not self.transport.is_closing():
            self._await_headers()

    def pause_writing(self) -> None:
        """Stop the application's writing, and give the client a limited time to take some."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self._limits.stalled, self.transport.abort)

    def resume_writing(self) -> None:
        """Let the application write again."""
        _cancel(self._stall_timer)
        super().resume_writing()

    def _await_headers(self) -> None:
        _cancel(self._header_timer)
        self._header_timer = self.loop.call_later(self._limits.headers, self._headers_late)

    def _headers_late(self) -> None:
        if self._answering():
            self._await_headers()  # the client may be busy with the answer before
            return
        self._header_timer = None
        self._refuse(408, _TOO_SLOW)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: int, reason: bytes) -> None:
        """Close, and say why if the client is in the middle of a request and can be told."""
        if self._header_bytes and not self._answering():
            self.transport.write(_raw_answer(status, reason))
        self.transport.close()


def bounded(app: ASGI3Application, stop: asyncio.Event) -> ASGI3Application:
    """Return `app` with its answers written at the client's pace, and cut off cleanly at a stop.

    Large bodies are written in slices. A request that the stop cancels before its answer has begun
    is answered with 503.
    """

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        begun = False

        async def paced(message: ASGISendEvent) -> None:
            nonlocal begun
            begun = True
            for part in _slices(message):
                await send(part)

        try:
            await app(scope, receive, paced)
        except asyncio.CancelledError:
            if begun or not stop.is_set():
                raise
            await _answer(503, _STOPPING)(scope, receive, send)

    return run


def _slices(message: Any) -> list[Any]:
    body = message.get("body", b"") if message["type"] == "http.response.body" else b""
    if len(body) <= _SLICE:
        return [message]
    parts = [
        {"type": "http.response.body", "body": body[start : start + _SLICE], "more_body": True}
        for start in range(0, len(body), _SLICE)
    ]
    parts[-1]["more_body"] = message.get("more_body", False)
    return parts


def _answer(status: int, text: bytes) -> ASGI3Application:
    """Return an application that says just this, and closes the connection."""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]

    async def answer(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        start: Any = {"type": "http.response.start", "status": status, "headers": headers}
        body: Any = {"type": "http.response.body", "body": text}
        await send(start)
        await send(body)

    return answer


def _raw_answer(status: int, text: bytes) -> bytes:
    """Return a whole answer as bytes, for a client that never got as far as a request."""
    head = (
        b"content-type: text/plain; charset=utf-8\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n" % len(text)
    )
    return STATUS_LINE[status] + head + text


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
