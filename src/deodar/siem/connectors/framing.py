"""How bodies in the journal are divided into events, by the name that a record's header has.

``kata`` is an answer of the events API. ``frames`` is what was gathered of many senders: groups of
events in MessagePack, each with where and when they came from.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from deodar.columnar.dead_letters import DeadLetter
from deodar.columnar.envelope import salvage, split
from deodar.columnar.errors import EnvelopeError
from deodar.siem.connectors.base import LONGEST_EVENT
from deodar.siem.normalizers.base import Arrived

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deodar.columnar.decoding import Buffer

    Divided = tuple[Sequence[Buffer], list[DeadLetter]]

KATA = "kata"
FRAMES = "frames"


class Group(msgspec.Struct, frozen=True, array_like=True):
    """Events that came together: from where (an address, a path), when (µs since the epoch)."""

    source: str
    time_us: int
    events: list[bytes]


_GROUPS = msgspec.msgpack.Decoder(list[Group])


def pack(groups: Sequence[Group]) -> bytes:
    """Return groups as the body of a record with the framing ``frames``."""
    return msgspec.msgpack.encode(groups)


def divide(framing: str, body: bytes, encoding: str = "") -> Divided:
    r"""Return the events of a body, and what could not be saved of a broken one.

    Text is converted from `encoding` to UTF-8 unless that is empty; a byte that stands for nothing
    there is shown by its number in hexadecimal. Raises KeyError for an unknown framing,
    msgspec.MsgspecError for a body that is none of it.
    """
    return _FRAMINGS[framing](body, encoding)


def _kata(body: bytes, encoding: str) -> Divided:
    converted = _converted(body, encoding)
    events: Sequence[Buffer]
    broken: list[DeadLetter] = []
    try:
        events = split(converted).events
    except EnvelopeError:
        events, broken = salvage(converted)
    if len(converted) > LONGEST_EVENT and max(map(_size, events), default=0) > LONGEST_EVENT:
        return _without_large(events, broken)
    return events, broken


def _without_large(events: Sequence[Buffer], broken: list[DeadLetter]) -> Divided:
    kept = [event for event in events if _size(event) <= LONGEST_EVENT]
    large = [
        DeadLetter(
            f"an event of {_size(event)} bytes, at most {LONGEST_EVENT} are taken",
            "$",
            index,
            bytes(event),
        )
        for index, event in enumerate(events)
        if _size(event) > LONGEST_EVENT
    ]
    return kept, [*broken, *large]


def _size(event: Buffer) -> int:
    return memoryview(event).nbytes


def _frames(body: bytes, encoding: str) -> Divided:
    groups = _GROUPS.decode(body)
    return (
        Arrived(
            [_converted(event, encoding) for group in groups for event in group.events],
            [group.source for group in groups for _ in group.events],
            [group.time_us for group in groups for _ in group.events],
        ),
        [],
    )


def _converted(data: bytes, encoding: str) -> bytes:
    if not encoding:
        return data
    return data.decode(encoding, "backslashreplace").encode("utf-8", "backslashreplace")


_FRAMINGS: Mapping[str, Callable[[bytes, str], Divided]] = MappingProxyType(
    {KATA: _kata, FRAMES: _frames}
)
