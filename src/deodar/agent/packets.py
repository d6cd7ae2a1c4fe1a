"""A packet: events on their way to the server, packed once and sent as they are.

The body is NDJSON compressed with zstd. The header stays on this host: the spool counts by it, and
a replay finds its place again by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import zstandard

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 1


class Place(msgspec.Struct, frozen=True):
    """How far a file has been read: every event before `offset` is in this packet or before it."""

    file: str
    """Absolute path."""
    device: int
    inode: int
    offset: int
    """Bytes from the start."""


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the spool keeps beside a packet."""

    events: int
    first: int
    """Time of the first event, µs since the epoch."""
    last: int
    total: int = 0
    """Events ever put into this spool, up to the end of this packet."""
    place: Place | None = None
    low: int = 0
    """Events of low importance."""
    medium: int = 0
    high: int = 0
    at: float = 0.0
    """When it was stored: seconds on the agent's age clock."""
    urgent: bool = False
    """Whether it shall be sent without delay."""
    thinned: int = 0
    """Events that were here or just before, and that were given up and counted."""
    reports: tuple[str, ...] = ()
    """Ids of the losses that events in this packet tell of."""

    @property
    def unknown(self) -> int:
        """Events whose importance nobody has looked at yet."""
        return max(0, self.events - self.low - self.medium - self.high)


class Packet(msgspec.Struct, frozen=True):
    """A packet that is not stored yet."""

    header: Header
    body: bytes


class Packer:
    """Compresses events into packets. Used by one thread."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def pack(
        self,
        lines: Sequence[bytes],
        first: int,
        last: int,
        counts: tuple[int, int, int] | None = None,
        reports: Sequence[str] = (),
    ) -> Packet:
        """Return a packet of events, each one line of JSON; times are µs since the epoch.

        `counts` are events of low, medium and high importance; without, the lines are looked at.
        `reports` are the ids of losses that some of the lines tell of.
        """
        low, medium, high = _count(lines) if counts is None else counts
        header = Header(
            events=len(lines),
            first=first,
            last=last,
            low=low,
            medium=medium,
            high=high,
            urgent=high > 0,
            reports=tuple(reports),
        )
        return Packet(header, self._compressor.compress(b"\n".join(lines) + b"\n"))

    def pack_text(self, ndjson: bytes, header: Header) -> Packet:
        """Return a packet of events that are lines of one text already."""
        return Packet(header, self._compressor.compress(ndjson))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Header)


def encode_header(header: Header) -> bytes:
    """Return the header as it is stored."""
    return _encoder.encode(header)


def decode_header(data: bytes) -> Header:
    """Return a stored header. One that cannot be read counts as one event of unknown time."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return Header(events=1, first=0, last=0)


def _count(lines: Sequence[bytes]) -> tuple[int, int, int]:
    from deodar.events.importance import count  # noqa: PLC0415 - only who does not count asks

    return count(lines)
