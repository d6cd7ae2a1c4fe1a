"""Taking packets of events in: split, check, complete, and hand over to the log.

A packet is NDJSON. What cannot be an event becomes a dead letter with its reason, and the rest goes
on. The server completes each event's text (`deodar.edr.stamp`). A repeat of a packet gets the same
ids.
"""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from deodar.columnar.dead_letters import DeadLetter
from deodar.edr.database import now_us
from deodar.edr.decoding import decode_lines
from deodar.edr.errors import EdrError, LogFull, PacketRefused
from deodar.edr.log.packet import Packet
from deodar.edr.stamp import Stamp
from deodar.kit.body import Packed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.edr.log.intake import Intake
    from deodar.edr.space import Space


LONGEST_EVENT = (4 << 20) - (64 << 10)
"""Bytes of an event: KUMA takes none above 4 MB, and the server puts a few fields into each."""


class TooManyEvents(EdrError):  # noqa: N818
    """A packet has more events than the settings allow."""


@dataclass(frozen=True)
class Origin:
    """Where a packet comes from, and its number there.

    `agent_id` is put into its events, if known; `first_line` is the number of the packet's first
    line in the file that it was cut from, for dead letters. `first` is the number of the first
    packet in it when several were put together to one (0: it is one); `number` is the last one's.
    """

    source: str
    number: int
    agent_id: str = ""
    first_line: int = 1
    first: int = 0

    @property
    def batch_id(self) -> str:
        """A text that names the packet for ever."""
        return f"{self.source}#{self.number}"


@dataclass(frozen=True)
class Receipt:
    """What became of a packet: events in the log, dead letters, or that it was known already."""

    packet: int
    events: int = 0
    dead: int = 0
    duplicate: bool = False


class Ingest:
    """The way in, shared by agents and by imports. Used within one event loop."""

    def __init__(
        self,
        log: Intake,
        dead_letters: DeadLetterStore,
        max_events: int,
        executor: Executor,
        space: Space | None = None,
    ) -> None:
        """`executor` runs the decoding; its threads leave the event loop free.

        Without a `space` there is always room.
        """
        self._log = log
        self._dead_letters = dead_letters
        self._max_events = max_events
        self._executor = executor
        self._space = space
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def take(self, origin: Origin, body: bytes | Packed) -> Receipt:
        """Take one packet; returns when its events are durable.

        Packets of one source are taken in the order of the calls. Raises TooManyEvents,
        LogUnavailable when it must be sent again, PartlyTaken when only the rest of it must, and
        BodyError when it cannot be unpacked.
        """
        async with self._turn(origin.source):
            if await self._log.knows(origin.source, origin.number, origin.first):
                return Receipt(origin.number, duplicate=True)
            self.check_room()
            packet, dead = await self._off_loop(partial(decode, origin, body, self._max_events))
            if dead:
                await self._bury(origin, dead)
            if packet is None:
                return Receipt(origin.number, 0, len(dead))
            try:
                if not await self._log.append(packet):
                    return Receipt(origin.number, duplicate=True)
            except PacketRefused as error:
                return await self._bury_all(origin, packet, len(dead), str(error))
            return Receipt(origin.number, packet.events, len(dead))

    def would_refuse(self, origin: Origin) -> LogFull | None:
        """Return why a packet need not even be read now, or None."""
        if self._space is None or (shortage := self._space.shortage()) is None:
            return None
        known = self._log.was_taken(origin.source, origin.number, origin.first)
        return None if known else LogFull(shortage)

    def check_room(self) -> None:
        """Raise LogFull while the disks have too little room for new events."""
        if self._space is not None and (shortage := self._space.shortage()) is not None:
            raise LogFull(shortage)

    async def bury(self, origin: Origin, reason: str, body: bytes) -> Receipt:
        """Keep a packet that cannot be read at all as one dead letter.

        Raises PartlyTaken and LogFull.
        """
        async with self._turn(origin.source):
            await self._log.knows(origin.source, origin.number, origin.first)
            self.check_room()
            await self._bury(origin, [DeadLetter(reason, "", origin.first_line, body)])
            return Receipt(origin.number, 0, 1)

    async def _bury_all(self, origin: Origin, packet: Packet, dead: int, reason: str) -> Receipt:
        texts = packet.raw.to_pylist()
        letters = [DeadLetter(reason, "", n, text.encode()) for n, text in enumerate(texts)]
        await self._bury(origin, letters)
        return Receipt(origin.number, 0, dead + len(letters))

    def _turn(self, source: str) -> asyncio.Lock:
        return self._turns.setdefault(source, asyncio.Lock())

    async def _bury(self, origin: Origin, dead: Sequence[DeadLetter]) -> None:
        letters = [_from(letter, origin) for letter in dead]
        await self._off_loop(partial(self._dead_letters.add, letters, origin.batch_id))

    async def _off_loop(self, work: partial[Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def decode(
    origin: Origin, body: bytes | Packed, max_events: int
) -> tuple[Packet | None, list[DeadLetter]]:
    """Return a packet's events, None if there is none, and its dead letters.

    Raises TooManyEvents, and BodyError for one that cannot be unpacked.
    """
    if isinstance(body, Packed):
        body = body.unpack()
    numbers, lines, dead = split(body)
    if len(body) > LONGEST_EVENT:
        numbers, lines, too_long = _without_giants(numbers, lines)
        dead += too_long
    if len(lines) > max_events:
        raise TooManyEvents(f"a packet has {len(lines)} events; at most {max_events} are allowed")
    decoded = decode_lines(lines)
    dead += [msgspec.structs.replace(one, index=numbers[one.index]) for one in decoded.dead]
    if not decoded.rows:
        return None, dead
    stamp = Stamp(origin.batch_id, origin.agent_id, now_us())
    raw, fields = stamp.put(decoded, [numbers[row] for row in decoded.rows])
    return Packet(origin.source, origin.number, fields, raw, origin.first), dead


def split(body: bytes) -> tuple[Sequence[int], list[bytes], list[DeadLetter]]:
    """Return the numbers (from 0) and texts of lines, without blank ones, and what is no text."""
    stripped = [line.strip() for line in body.split(b"\n")]
    if stripped and not stripped[-1]:
        stripped.pop()
    if all(stripped) and is_text(body):
        return range(len(stripped)), stripped, []
    numbered = [(n, line) for n, line in enumerate(stripped) if line]
    dead = [DeadLetter("not UTF-8", "", n, line) for n, line in numbered if not is_text(line)]
    numbered = [(n, line) for n, line in numbered if is_text(line)]
    return [n for n, _ in numbered], [line for _, line in numbered], dead


def _without_giants(
    numbers: Sequence[int], lines: list[bytes]
) -> tuple[Sequence[int], list[bytes], list[DeadLetter]]:
    """Return numbers and lines without those that external systems could not take."""
    giants = [place for place, line in enumerate(lines) if len(line) > LONGEST_EVENT]
    if not giants:
        return numbers, lines, []
    reason = f"the event is longer than {LONGEST_EVENT} bytes"
    dead = [DeadLetter(reason, "", numbers[place], lines[place]) for place in giants]
    kept = [place for place, line in enumerate(lines) if len(line) <= LONGEST_EVENT]
    return [numbers[place] for place in kept], [lines[place] for place in kept], dead


def _from(letter: DeadLetter, origin: Origin) -> DeadLetter:
    return msgspec.structs.replace(
        letter, index=origin.first_line + letter.index, source=origin.source
    )


def is_text(data: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    ends = np.array([0, len(data)], np.int32)
    text = pa.StringArray.from_buffers(1, pa.py_buffer(ends), pa.py_buffer(data))
    try:
        text.validate(full=True)  # several times as fast as decoding, and without a copy
    except pa.ArrowInvalid:
        return False
    return True
