"""Gathers the events of many senders into one record at a time.

A record costs a sync of the disk and becomes one batch of the store, so what comes within a moment
goes together. What waits in memory is bounded: a sender whose events find no room waits, which
holds it back where its protocol can be held back.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from deodar.kit.background import occurs
from deodar.kit.logging import logger
from deodar.siem.connectors.base import Handover
from deodar.siem.connectors.framing import FRAMES, Group, pack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from deodar.siem.connectors.base import Sink

FLUSH_BYTES = 1 << 20
MOST_WAITING = 8 << 20
_LAST_FLUSH = 5.0
_OVERHEAD = 64  # bytes that an event costs besides its own
_log = logger("siem.connector")


class Gatherer:
    """One writer of records, while it is `running`."""

    def __init__(
        self,
        sink: Sink,
        origin: str,
        encoding: str = "",
        seconds: float = 0.5,
        advance: Callable[[Sequence[str]], tuple[str | None, str | None]] | None = None,
    ) -> None:
        """`seconds` is how long events may wait for others. `advance` gets the marks of what goes
        into a record and returns the states before and behind it, for a connector with a state.
        """  # noqa: D205
        self._sink = sink
        self._origin = origin
        self._encoding = encoding
        self._seconds = seconds
        self._advance = advance
        self._groups: list[Group] = []
        self._marks: list[str] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._bytes = 0
        self._in_hand = 0
        self._arrived = asyncio.Event()
        self._urgent = asyncio.Event()
        self._room = asyncio.Condition()

    @property
    def waiting(self) -> int:
        """Bytes that are in memory and not durable."""
        return self._bytes + self._in_hand

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more."""
        return self.waiting >= MOST_WAITING

    async def add(self, source: str, events: list[bytes]) -> None:
        """Take events; returns once there was room for them in memory."""
        async with self._room:
            await self._room.wait_for(lambda: not self.is_full)
        self.take(source, events)

    async def add_durably(self, source: str, events: list[bytes], mark: str = "") -> None:
        """Take events; returns once they are durable. `mark` is for `advance`, unless empty."""
        await self.add(source, events)
        if mark:
            self._marks.append(mark)
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def take(self, source: str, events: list[bytes]) -> None:
        """Take events at once, whatever waits already."""
        self._groups.append(Group(source, time.time_ns() // 1000, events))
        self._bytes += sum(map(len, events)) + _OVERHEAD * len(events)
        self._arrived.set()
        if self._bytes >= FLUSH_BYTES:
            self._urgent.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Make durable what is added; at the end also what is in memory then.

        The task that is given ends by itself only with an error.
        """
        task = asyncio.create_task(self._run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})
            if self._groups:
                await self._at_stop(asyncio.create_task(self._put_all()), self._events_waiting())

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            await occurs(self._urgent, self._seconds)
            await self._flush()

    async def _flush(self) -> None:
        number = self._events_waiting()
        putting = asyncio.create_task(self._put_all())
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            await self._at_stop(putting, number)
            raise

    async def _put_all(self) -> None:
        groups, marks, waiters = self._groups, self._marks, self._waiters
        self._groups, self._marks, self._waiters = [], [], []
        self._in_hand, self._bytes = self._bytes, 0
        self._arrived.clear()
        self._urgent.clear()
        before, after = self._advance(marks) if self._advance else (None, None)
        await self._sink.put(
            Handover(pack(groups), FRAMES, self._origin, before, after, encoding=self._encoding)
        )
        self._in_hand = 0
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        async with self._room:
            self._room.notify_all()

    async def _at_stop(self, putting: asyncio.Task[None], number: int) -> None:
        """Give what is in memory a last while to become durable."""
        done, _ = await asyncio.wait({putting}, timeout=_LAST_FLUSH)
        if not done:
            putting.cancel()
            self._sink.count("lost_at_stop", number)
            _log.error("events in memory are lost: the journal takes nothing", events=number)

    def _events_waiting(self) -> int:
        return sum(len(group.events) for group in self._groups)
