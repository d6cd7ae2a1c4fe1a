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
    """Events in this spool since it was made, this packet's included."""
    place: Place | None = None


class Packet(msgspec.Struct, frozen=True):
    """A packet that is not stored yet."""

    header: Header
    body: bytes


class Packer:
    """Compresses events into packets. Used by one thread."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def pack(self, lines: Sequence[bytes], first: int, last: int) -> Packet:
        """Return a packet of events, each one line of JSON; times are µs since the epoch."""
        header = Header(events=len(lines), first=first, last=last)
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
