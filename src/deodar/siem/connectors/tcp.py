"""Messages over TCP or TLS, such as syslog: a message a line, or with its octets counted.

TCP has no receipt for a message, so a sender takes for delivered what it could write. When the
journal is full nothing more is read, and the sender waits. What was read is in memory for
`gather_seconds` at most, and lost only if the collector is killed in that time; at a stop it is
kept, the beginning of a message whose end did not come included.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Annotated

import msgspec

from deodar.kit.listeners import listening
from deodar.kit.logging import logger
from deodar.siem.connectors.base import Connector, ConnectorSettings, EventBytes, Kind
from deodar.siem.connectors.gathering import Gatherer
from deodar.siem.connectors.listening import (
    GatherSeconds,
    ListenTls,
    Port,
    address_problem,
    peer_address,
    server_context,
)
from deodar.siem.connectors.splitting import Division, NotCounted, Pieces, Splitter
from deodar.siem.connectors.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import Sink

_READ = 65_536
_HANDSHAKE = 10.0
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 6))
_log = logger("siem.connector")


class TcpSettings(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="tcp"
):
    """Messages are divided by `delimiter`, by counted `octets` (RFC 6587), or as each says itself.
    A longer one than `max_event_bytes` is put aside as far as it goes. More senders at a time than
    `max_connections` are turned away; one that sends nothing for `idle_seconds` (0: for ever) is
    closed.
    """  # noqa: D205

    host: str = "127.0.0.1"
    port: Port
    divided_by: Division = "auto"
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=16)] = "\n"
    max_event_bytes: EventBytes = 262_144
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 1000
    idle_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 3600.0
    gather_seconds: GatherSeconds = 0.5
    tls: ListenTls = ListenTls()

    def problem(self) -> str:
        """Return "key: what is wrong", or ""."""
        return address_problem(self.host) or self.tls.problem() or super().problem()


class TcpConnector(Connector):
    """One listener."""

    def __init__(self, settings: TcpSettings, home: Path, sink: Sink) -> None:
        self._settings = settings
        self._sink = sink
        self._context = server_context(settings.tls, home)
        self._where = f"tcp://{settings.host}:{settings.port}"
        self._gatherer = Gatherer(
            sink, self._where, settings.character_encoding, settings.gather_seconds
        )
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self, state: str | None) -> None:
        """Listen until cancelled; raises ServeError when the address cannot be had."""
        wanted = self._settings
        with listening(wanted.host, wanted.port, None) as listener:
            async with self._gatherer.running() as gathering:
                server = await asyncio.start_server(
                    self._connected,
                    sock=listener,
                    ssl=self._context,
                    ssl_handshake_timeout=_HANDSHAKE if self._context else None,
                    limit=_READ,
                )
                self._sink.changed(Status("green", f"listening on {self._where}"))
                try:
                    await gathering
                finally:
                    server.close()
                    await self._close_connections()

    async def _close_connections(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def begin_anew(self) -> None:
        """Do nothing: there is no state."""

    async def check(self) -> str:
        """Take the address for a moment; raises ServeError."""
        with listening(self._settings.host, self._settings.port, None):
            return f"{self._where} is free"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs it in one
        self._connections.add(task)
        try:
            if len(self._connections) > self._settings.max_connections:
                self._sink.count("connections_refused")
                return
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = peer_address(writer.get_extra_info("peername"))
        _keep_alive(writer.get_extra_info("socket"))
        self._sink.count("connections")
        settings = self._settings
        delimiter = settings.delimiter.encode()
        splitter = Splitter(settings.divided_by, delimiter, settings.max_event_bytes)
        try:
            while data := await self._read(reader):
                await self._take(source, splitter.feed(data))
        except NotCounted as error:
            reason, pieces = error.args
            await self._take(source, pieces)
            await self._sink.keep_aside(source, reason, splitter.end())
            self._sink.count("streams_broken_off")
            _log.warning("a stream cannot be followed and is closed", source=source, reason=reason)
        finally:
            rest = splitter.end()
            if rest:
                self._gatherer.take(source, [rest])
                self._sink.count("unfinished")

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._settings.idle_seconds or None):
                return await reader.read(_READ)
        except TimeoutError:
            self._sink.count("connections_idle")
            return b""

    async def _take(self, source: str, pieces: Pieces) -> None:
        if pieces.messages:
            await self._gatherer.add(source, pieces.messages)
        for beginning in pieces.too_long:
            limit = self._settings.max_event_bytes
            self._sink.count("too_long")
            await self._sink.keep_aside(
                source, f"a message longer than {limit} bytes; this is its beginning", beginning
            )


def _keep_alive(connection: socket.socket) -> None:
    """Notice within minutes that a silent sender is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _facts(settings: TcpSettings, _home: Path) -> Mapping[str, str]:
    tls = "TLS" if settings.tls.certificate else "without TLS"
    return {"listens_on": f"{settings.host}, port {settings.port}, {tls}"}


KIND = Kind(
    "tcp",
    "messages over TCP or TLS, such as syslog",
    TcpSettings,
    TcpConnector,
    lambda settings, _home: f"tcp:{settings.host}:{settings.port}",
    _facts,
    has_state=False,
)
