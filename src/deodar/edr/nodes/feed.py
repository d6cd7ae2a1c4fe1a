"""From the stream into the log, for one term: read, put together, commit, purge.

Packets go into the log in the stream's order. What waits there is bounded, so that a slow store
lets the stream fill up, and not this process. What can never be in the log becomes a dead letter.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from deodar.columnar.dead_letters import DeadLetter
from deodar.edr.errors import BlockProblem, PacketRefused, PartlyTaken
from deodar.edr.nodes.blocks import PACKET, Assembler
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.edr.log.eventlog import EventLog
    from deodar.edr.log.packet import Packet
    from deodar.edr.nodes.blocks import Received
    from deodar.edr.nodes.connection import Connection
    from deodar.edr.nodes.cursor import Cursor
    from deodar.edr.nodes.follower import FollowedLog
    from deodar.edr.nodes.position import Positions
    from deodar.edr.settings import Ingest as Bounds
    from deodar.store.engine import Engine

_FETCH: Final = 200
_WAITING: Final = 2000
_PURGE_EVERY: Final = 0.25

log = logger("edr.nodes")


@dataclass(frozen=True)
class Desk:
    """What a writer works with."""

    name: str
    engine: Engine
    bounds: Bounds
    connection: Connection
    positions: Positions
    view: FollowedLog
    dead_letters: DeadLetterStore


@dataclass(frozen=True)
class _Given:
    """A message that was given to the log; `done` is None when it completes no packet."""

    message: Received
    packet: Packet | None = None
    done: asyncio.Task[bool] | None = None

    @property
    def size(self) -> int:
        return len(self.message.data) if self.packet is None else self.packet.size

    @property
    def events(self) -> int:
        return 0 if self.packet is None else self.packet.events


class Feed:
    """What goes from a cursor into an opened log. Used within one event loop."""

    def __init__(self, desk: Desk, cursor: Cursor, opened: EventLog) -> None:
        self._desk = desk
        self._cursor = cursor
        self._log = opened
        self._assembler = Assembler()
        self._given: asyncio.Queue[_Given] = asyncio.Queue(_WAITING)
        self._settled = self._bytes = self._events = 0
        self._room = asyncio.Event()

    @property
    def parts_given_up(self) -> int:
        """Packets whose last part never came into the stream."""
        return self._assembler.given_up

    def works(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield what has to go on side by side; each ends only by an error."""
        yield self._read()
        yield self._settle()
        yield self._purge()

    async def _read(self) -> None:
        while True:
            messages = await self._cursor.fetch(_FETCH)
            for message, packet in await asyncio.to_thread(self._assemble, messages):
                await self._give(message, packet)

    def _assemble(
        self, messages: Sequence[Received]
    ) -> list[tuple[Received, Packet | BlockProblem | None]]:
        """Return each message with the packet that it completes."""
        found: list[tuple[Received, Packet | BlockProblem | None]] = []
        for message in messages:
            try:
                found.append((message, self._assembler.add(message)))
            except BlockProblem as error:
                found.append((message, error))
        return found

    async def _give(self, message: Received, packet: Packet | BlockProblem | None) -> None:
        """Give the log a packet as soon as there is room for it."""
        if isinstance(packet, BlockProblem):
            await self._bury(message, str(packet), [message.data])
            packet = None
        given = _Given(message, packet)
        while self._is_full(given):
            self._room.clear()
            await self._room.wait()
        self._bytes += given.size
        self._events += given.events
        if packet is not None:
            # Tasks begin in the order in which they were made, and so the packets stay in theirs.
            done = asyncio.create_task(self._log.append(packet))
            done.add_done_callback(_looked_at)
            given = _Given(message, packet, done)
        await self._given.put(given)

    def _is_full(self, new: _Given) -> bool:
        """Whether the log's queue could become full; one packet is always taken."""
        bounds = self._desk.bounds
        too_many = self._events + new.events > bounds.queue_events // 2
        return self._bytes > 0 and (too_many or self._bytes + new.size > bounds.queue_bytes // 2)

    async def _settle(self) -> None:
        """Wait for the log's word on each message; raises LogUnavailable when it takes no more."""
        while True:
            given = await self._given.get()
            if given.packet is not None and given.done is not None:
                try:
                    await given.done
                except (PacketRefused, PartlyTaken) as error:
                    texts = [text.encode() for text in given.packet.raw.to_pylist()]
                    await self._bury(given.message, str(error), texts)
            if given.packet is not None:
                self._assembler.release(given.message)
            self._settled = given.message.seq
            self._bytes -= given.size
            self._events -= given.events
            self._room.set()

    async def _purge(self) -> None:
        while True:
            await asyncio.sleep(_PURGE_EVERY)
            needed = self._assembler.oldest
            upto = self._settled if needed is None else min(self._settled, needed - 1)
            await self._cursor.purge(upto)

    async def _bury(self, message: Received, reason: str, texts: Sequence[bytes]) -> None:
        log.error("packet_not_for_the_log", message=message.seq, reason=reason)
        letters = [DeadLetter(reason, "", n, text, "stream") for n, text in enumerate(texts)]
        batch = f"{message.headers.get(PACKET, '')}@{message.seq}"
        await asyncio.to_thread(partial(self._desk.dead_letters.add, letters, batch))


def _looked_at(done: asyncio.Task[bool]) -> None:
    """Take note of the result, as the term may be over."""
    if not done.cancelled():
        done.exception()
