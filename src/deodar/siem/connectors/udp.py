"""Messages over UDP, such as syslog: each datagram is one.

Nobody can be held back here: what the collector does not read in time the kernel throws away. How
many those were it tells (``SO_MEMINFO``, socket(7)), and they are counted as `datagrams_lost`. A
large `receive_buffer` is what helps; while the journal is full nothing else does.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Annotated

import msgspec

from deodar.kit.listeners import ServeError
from deodar.kit.logging import logger
from deodar.siem.connectors.base import Connector, ConnectorSettings, EventBytes, Kind
from deodar.siem.connectors.gathering import Gatherer
from deodar.siem.connectors.listening import GatherSeconds, Port, address_problem, peer_address
from deodar.siem.connectors.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deodar.siem.connectors.base import Sink

_AT_ONCE = 512  # datagrams that are read before anything else has its turn
_LOOK_SECONDS = 1.0
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; neither is in Python's socket module
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_DROPS = 8  # SK_MEMINFO_DROPS of linux/sock_diag.h
_log = logger("siem.connector")


class UdpSettings(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="udp"
):
    """A longer datagram than `max_event_bytes` is put aside as far as it goes. `receive_buffer` is
    what the kernel may hold of bytes that are not read yet; without root it gives net.core.rmem_max
    at most, and the log says so.
    """  # noqa: D205

    host: str = "127.0.0.1"
    port: Port
    max_event_bytes: EventBytes = 65_536
    receive_buffer: Annotated[int, msgspec.Meta(ge=4096, le=1 << 30)] = 8 << 20
    gather_seconds: GatherSeconds = 0.5

    def problem(self) -> str:
        """Return "key: what is wrong", or ""."""
        return address_problem(self.host) or super().problem()


class UdpConnector(Connector):
    """One socket."""

    def __init__(self, settings: UdpSettings, home: Path, sink: Sink) -> None:
        self._settings = settings
        self._sink = sink
        self._where = f"udp://{settings.host}:{settings.port}"
        self._gatherer = Gatherer(
            sink, self._where, settings.character_encoding, settings.gather_seconds
        )
        self._readable = asyncio.Event()
        self._lost = 0
        self._keeping: set[asyncio.Future[None]] = set()

    async def run(self, state: str | None) -> None:
        """Receive until cancelled; raises ServeError when the address cannot be had."""
        with self._bound() as receiver:
            loop = asyncio.get_running_loop()
            loop.add_reader(receiver, self._readable.set)
            self._sink.changed(Status("green", f"listening on {self._where}"))
            async with self._gatherer.running() as gathering:
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._receive(receiver))
                        group.create_task(self._watch(receiver))
                        await gathering
                finally:
                    loop.remove_reader(receiver)
                    self._look(receiver)

    def begin_anew(self) -> None:
        """Do nothing: there is no state."""

    async def check(self) -> str:
        """Take the address for a moment; raises ServeError."""
        with self._bound():
            return f"{self._where} is free"

    def _bound(self) -> socket.socket:
        wanted = self._settings
        family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
        receiver = socket.socket(family, socket.SOCK_DGRAM)
        try:
            receiver.setblocking(False)
            if wanted.host == "::":
                receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            _enlarge(receiver, wanted.receive_buffer)
            receiver.bind((wanted.host, wanted.port))
        except OSError as error:
            receiver.close()
            raise ServeError(
                f"cannot listen on {self._where}: {error.strerror or error}; "
                "stop what uses it, or set another address or port"
            ) from error
        return receiver

    async def _receive(self, receiver: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._readable.wait()
            self._readable.clear()
            groups = self._read(receiver)
            for source, messages in groups.items():
                if self._gatherer.is_full:
                    # What comes meanwhile the kernel keeps as far as it can, and counts the rest.
                    loop.remove_reader(receiver)
                    await self._gatherer.add(source, messages)
                    loop.add_reader(receiver, self._readable.set)
                else:
                    self._gatherer.take(source, messages)
            await asyncio.sleep(0)

    def _read(self, receiver: socket.socket) -> dict[str, list[bytes]]:
        """Return what is there by its sender, up to a number."""
        groups: dict[str, list[bytes]] = {}
        longest = self._settings.max_event_bytes
        for _ in range(_AT_ONCE):
            try:
                data, peer = receiver.recvfrom(longest + 1)
            except BlockingIOError:
                break
            except OSError as error:  # such as an ICMP error that came back
                _log.warning("reading a datagram failed", reason=str(error))
                continue
            source = peer_address(peer)
            if len(data) > longest:
                self._aside(source, data[:longest])
                continue
            message = data.rstrip(b"\r\n\x00")
            if message:
                groups.setdefault(source, []).append(message)
        return groups

    def _aside(self, source: str, beginning: bytes) -> None:
        self._sink.count("too_long")
        reason = f"a datagram longer than {len(beginning)} bytes; this is its beginning"
        task = asyncio.ensure_future(self._sink.keep_aside(source, reason, beginning))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _watch(self, receiver: socket.socket) -> None:
        while True:
            self._look(receiver)
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, receiver: socket.socket) -> None:
        """Count what the kernel threw away since the last look."""
        told = receiver.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        lost = _MEMINFO.unpack(told)[_DROPS]
        new = (lost - self._lost) & 0xFFFF_FFFF
        self._lost = lost
        if not new:
            return
        self._sink.count("datagrams_lost", new)
        _log.warning("datagrams are lost: they came faster than they were read", count=new)


def _enlarge(receiver: socket.socket, size: int) -> None:
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    given = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # socket(7): doubled
    if given < size:
        _log.warning("the receive buffer is smaller than set", bytes=given, wanted=size)


def _facts(settings: UdpSettings, _home: Path) -> Mapping[str, str]:
    return {"listens_on": f"{settings.host}, port {settings.port}, UDP"}


KIND = Kind(
    "udp",
    "messages over UDP, such as syslog",
    UdpSettings,
    UdpConnector,
    lambda settings, _home: f"udp:{settings.host}:{settings.port}",
    _facts,
    has_state=False,
)
