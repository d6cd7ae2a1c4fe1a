"""Events as syslog messages of RFC 5424, over UDP (RFC 5426), TCP or TLS (RFC 5425).

Over TCP and TLS each message is framed by its length (octet counting, RFC 6587 and 5425). Syslog
knows no acknowledgement; a batch counts as delivered once the receiving host has confirmed all of
its bytes (TCP), or once it is sent (UDP). A repeat is recognised by the event's ID and BatchID,
which every message carries.
"""

from __future__ import annotations

import asyncio
import fcntl
import re
import struct
import termios
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from deodar.siem.destinations import forms
from deodar.siem.destinations.base import Batch, CommonSettings, Destination, Kind
from deodar.siem.destinations.trust import TlsSettings, client_context
from deodar.siem.errors import DestinationRefused, DestinationUnavailable

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

UDP_LIMIT = 65_507  # bytes: the longest datagram over IPv4
_PIECE = 1 << 16
_AT_ONCE = 64  # datagrams, so that a receiver's buffer is not overrun at once
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\]\s]+)\]|(?P<host>[^\s:]+)):(?P<port>\d{1,5})")


class SyslogSettings(CommonSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`address` is host:port. A message of more than `max_message_bytes` is refused and put aside.

    `facility` and `severity` are numbers of RFC 5424; 13 is log audit, 6 is informational.
    """

    address: str
    transport: Literal["udp", "tcp", "tls"] = "tcp"
    form: forms.Form = "cef"
    facility: Annotated[int, msgspec.Meta(ge=0, le=23)] = 13
    severity: Annotated[int, msgspec.Meta(ge=0, le=7)] = 6
    app_name: Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]{1,48}$")] = "deodar"
    max_message_bytes: Annotated[int, msgspec.Meta(ge=480)] = 1 << 20
    tls: TlsSettings = TlsSettings()

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        found = _ADDRESS.fullmatch(self.address)
        if found is None or not 0 < int(found["port"]) < 65_536:
            return f"address: {self.address!r} is not host:port"
        return self.tls.problem() or super().problem()

    def host_and_port(self) -> tuple[str, int]:
        """Return the address's parts."""
        found = _ADDRESS.fullmatch(self.address)
        assert found is not None  # noqa: S101 - `problem` has seen it
        return found["v6"] or found["host"], int(found["port"])

    @property
    def longest(self) -> int:
        """How long a message may be."""
        return min(self.max_message_bytes, UDP_LIMIT if self.transport == "udp" else 1 << 30)


def message(settings: SyslogSettings, event: dict[str, Any]) -> bytes:
    """Return an event as a message of RFC 5424: header, no structured data, the event's form."""
    when = event.get("Timestamp")
    seconds = when / 1000 if isinstance(when, int) else 0.0
    stamp = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    host = _printable(str(event.get("DeviceHostName", "")), 255)
    kind = _printable(str(event.get("DeviceEventCategory", "")), 32)
    priority = settings.facility * 8 + settings.severity
    stamp = stamp.replace("+00:00", "Z")
    head = f"<{priority}>1 {stamp} {host} {settings.app_name} - {kind} - "
    return head.encode("ascii") + forms.FORMS[settings.form](event)


def _printable(text: str, longest: int) -> str:
    return _UNPRINTABLE.sub("_", text)[:longest] or "-"


class SyslogDestination(Destination):
    """One receiver."""

    def __init__(self, settings: SyslogSettings, home: Path) -> None:
        self._settings = settings
        host, port = settings.host_and_port()
        if settings.transport == "udp":
            self._line: _Line = _Datagrams(host, port, settings.timeout)
        else:
            context = client_context(settings.tls, home) if settings.transport == "tls" else None
            self._line = _Stream(host, port, settings.timeout, context)

    async def deliver(self, batch: Batch) -> int:
        """Send all events; those that are too long are refused after the others are sent."""
        sendable, too_long = await asyncio.to_thread(self._messages, batch)
        try:
            size = await self._line.send(sendable)
        except (OSError, TimeoutError) as error:
            await self._line.close()
            raise self._unavailable(error) from error
        except asyncio.CancelledError:
            await self._line.close()  # half a message may be out
            raise
        if too_long:
            raise DestinationRefused(
                f"{too_long} events are longer than {self._settings.longest} bytes as a message",
                too_long,
            )
        return size

    async def check(self) -> str:
        """Connect, with TLS if so set; a datagram's receiver cannot be asked."""
        try:
            await self._line.open()
        except (OSError, TimeoutError) as error:
            raise self._unavailable(error) from error
        if self._settings.transport == "udp":
            return f"{self._settings.address}: datagrams can be sent; nobody answers to those"
        return f"{self._settings.address}: connected over {self._settings.transport}"

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    def _messages(self, batch: Batch) -> tuple[list[bytes], int]:
        made = [message(self._settings, event) for event in forms.rows(batch.events)]
        longest = self._settings.longest
        sendable = [item for item in made if len(item) <= longest]
        return sendable, len(made) - len(sendable)

    def _unavailable(self, error: Exception) -> DestinationUnavailable:
        reason = str(error) or f"no end within {self._settings.timeout:g} s"
        return DestinationUnavailable(f"syslog to {self._settings.address}: {reason}")


class _Line:
    """A way to a receiver; raises OSError and TimeoutError."""

    async def open(self) -> None:
        raise NotImplementedError

    async def send(self, messages: list[bytes]) -> int:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class _Stream(_Line):
    """TCP or TLS."""

    def __init__(
        self, host: str, port: int, timeout: float, context: ssl.SSLContext | None
    ) -> None:
        self._where = (host, port)
        self._timeout = timeout
        self._context = context
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        if self._writer is not None and self._reader is not None and not self._reader.at_eof():
            return
        await self.close()
        host = self._where[0] if self._context else None
        async with asyncio.timeout(self._timeout):
            self._reader, self._writer = await asyncio.open_connection(
                *self._where, ssl=self._context, server_hostname=host
            )

    async def send(self, messages: list[bytes]) -> int:
        await self.open()
        data = b"".join(piece for one in messages for piece in (b"%d " % len(one), one))
        assert self._writer is not None  # noqa: S101 - open() has set it
        for start in range(0, len(data), _PIECE):
            self._writer.write(data[start : start + _PIECE])
            async with asyncio.timeout(self._timeout):
                await self._writer.drain()
        async with asyncio.timeout(self._timeout):
            await self._confirmed(self._writer)
        return len(data)

    async def _confirmed(self, writer: asyncio.StreamWriter) -> None:
        """Wait until the receiving host's TCP has confirmed every byte."""
        socket = writer.get_extra_info("socket")
        while writer.transport.get_write_buffer_size() or _unconfirmed(socket.fileno()):
            if writer.transport.is_closing() or (self._reader and self._reader.at_eof()):
                raise ConnectionError("the receiver closed the connection")
            await asyncio.sleep(0.002)  # the kernel tells nobody when it changes
        if writer.transport.is_closing() or (self._reader and self._reader.at_eof()):
            raise ConnectionError("the receiver closed the connection")

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort() if self._broken() else self._writer.close()
        self._reader = self._writer = None

    def _broken(self) -> bool:
        assert self._writer is not None  # noqa: S101
        return bool(self._writer.transport.get_write_buffer_size())


def _unconfirmed(descriptor: int) -> int:
    """Return how many sent bytes the peer has not acknowledged (SIOCOUTQ, tcp(7))."""
    if descriptor < 0:
        raise ConnectionError("the connection is closed")
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0])


class _Datagrams(_Line):
    """UDP; an error that the receiver's host sent back is raised at the next batch."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._where = (host, port)
        self._timeout = timeout
        self._errors = _Errors()
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        if self._transport is None:
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(self._timeout):
                self._transport, _ = await loop.create_datagram_endpoint(
                    lambda: self._errors, remote_addr=self._where
                )

    async def send(self, messages: list[bytes]) -> int:
        await self.open()
        assert self._transport is not None  # noqa: S101 - open() has set it
        for number, one in enumerate(messages, 1):
            self._transport.sendto(one)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0.001)
                self._errors.tell()
        await asyncio.sleep(0.01)  # a refusal from a near host is back by then
        self._errors.tell()
        return sum(map(len, messages))

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._transport = None


class _Errors(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self._last: Exception | None = None

    def error_received(self, exc: Exception) -> None:
        self._last = exc

    def tell(self) -> None:
        """Raise what was received."""
        last, self._last = self._last, None
        if last is not None:
            raise last


KIND = Kind("syslog", "RFC 5424 over UDP, TCP or TLS", SyslogSettings, SyslogDestination)
