"""Which events go first when there is no room for all, and taking them out of a packet."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import zstandard

from deodar.agent.packets import LEVEL, Header, decode_header

if TYPE_CHECKING:
    from collections.abc import Callable

    Importance = Callable[[bytes], str]
    """Tells of an event, one line of JSON, whether it is "low", "medium" or "high"."""

LARGEST = 64 << 20
"""Bytes that a packet may have when it is unpacked; no packer makes one nearly so large."""


class Level(IntEnum):
    """How important an event is."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


STAGE = "spool"
FULL = {
    Level.LOW: "the spool was full: its oldest events of low importance were dropped",
    Level.MEDIUM: "the spool was full: its oldest events of medium importance were dropped",
    Level.HIGH: "the spool was full: its oldest events of high importance were dropped",
}
DISK = {
    Level.LOW: "the disk and the memory were full: events of low importance were dropped",
    Level.MEDIUM: "the disk and the memory were full: events of medium importance were dropped",
    Level.HIGH: "the disk and the memory were full: events of high importance were dropped",
}
AGED = "events waited for the server for too long"
TOO_LARGE = "a packet was larger than the whole spool"
DAMAGED = "packets in the spool could not be read any more"
STOPPED = "the agent stopped while the disk took no events"


class Tally(NamedTuple):
    """What a segment holds: events by importance, and those that nobody has looked at."""

    low: int = 0
    medium: int = 0
    high: int = 0
    unknown: int = 0

    def up_to(self, level: Level) -> int:
        """Return how many events may be of this importance or a lower one."""
        return sum(self[: level + 1]) + self.unknown


def tally_of(header: Header) -> Tally:
    """Return what one packet holds."""
    return Tally(header.low, header.medium, header.high, header.unknown)


def fold(tally: Tally | None, header: bytes) -> Tally:
    """Return a tally with one more packet in it, given by its stored header."""
    one = tally_of(decode_header(header))
    return one if tally is None else Tally(*map(sum, zip(tally, one, strict=True)))


class Thinner:
    """Takes the less important events out of packets. Used by one thread at a time."""

    def __init__(self, importance: Importance | None = None) -> None:
        """Judge lines by `importance`; without, by what the vocabulary says of their type."""
        self._importance = importance
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def thin(self, header: Header, body: bytes, level: Level) -> tuple[Header, bytes]:
        """Return the packet without the events of this importance and of lower ones.

        `thinned` of the header does not change: that is the caller's. Of a packet in which all
        events have to go, or that cannot be unpacked, nothing is left: no events, an empty body.
        """
        tally = tally_of(header)
        going = tally.up_to(level)
        if going == 0:
            return header, body
        if going == header.events and not (tally.unknown and level < Level.HIGH):
            return _emptied(header), b""
        return self._without(header, body, level)

    def _without(self, header: Header, body: bytes, level: Level) -> tuple[Header, bytes]:
        text = _unpacked(body)
        if text is None:
            return _emptied(header), b""
        kept: list[bytes] = []
        counts = [0, 0, 0]
        judge = self._judge()
        for line in text.split(b"\n"):
            if not line.strip():
                continue
            found = Level[judge(line).upper()]
            if found > level:
                kept.append(line)
                counts[found] += 1
        del text
        if not kept:
            return _emptied(header), b""
        low, medium, high = counts
        new = msgspec.structs.replace(header, events=len(kept), low=low, medium=medium, high=high)
        return new, self._compressor.compress(b"\n".join(kept) + b"\n")

    def _judge(self) -> Importance:
        if self._importance is None:
            from deodar.events.importance import of_line  # noqa: PLC0415 - only who thins needs it

            self._importance = of_line
        return self._importance


def _emptied(header: Header) -> Header:
    return msgspec.structs.replace(
        header, events=0, low=0, medium=0, high=0, urgent=False, reports=()
    )


def _unpacked(body: bytes) -> bytes | None:
    """Return the text of a body, None if it cannot be unpacked."""
    reader = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True)
    try:
        text = reader.read(LARGEST + 1)
    except (zstandard.ZstdError, MemoryError):
        return None
    return text if len(text) <= LARGEST else None
