"""One destination's way out of the journal: read, prepare, deliver, note the place.

Each destination has a lane of its own, so that a slow or dead one holds back no other. What a
destination may hold of the journal is limited by bytes and by age; beyond that its oldest answers
are given up, for it alone, and counted by cause. The storage has no limit: it holds back fetching
instead, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from deodar.kit.journal import JournalUnavailable
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.siem.collector.desk import Desk
    from deodar.siem.collector.positions import Positions
    from deodar.siem.collector.prepare import Prepared
    from deodar.siem.collector.workshop import Workshop

LOOK_SECONDS = 1.0
_log = logger("siem.collector")


class Courier(Protocol):
    """Brings prepared records to a destination, however long that takes."""

    async def deliver(self, prepared: Prepared) -> None:
        """Return when the record is done with: delivered, or refused and put aside."""


@dataclass(frozen=True)
class Limits:
    """What a destination may hold of the journal: bytes, and seconds since fetching (0: any).

    `gave_up` is told how many events were given up and why: "size" or "age".
    """

    max_bytes: int
    max_seconds: float
    gave_up: Callable[[int, str], None]


class Lane:
    """The way of one destination."""

    def __init__(
        self,
        name: str,
        desk: Desk,
        workshop: Workshop,
        courier: Courier,
        positions: Positions,
        tell: Callable[[str], None],
        limits: Limits | None = None,
    ) -> None:
        """`tell` is told when a place in the journal cannot be noted."""
        self.name = name
        self._desk = desk
        self._workshop = workshop
        self._courier = courier
        self._positions = positions
        self._tell = tell
        self._limits = limits
        self._ready: asyncio.Queue[Prepared] = asyncio.Queue(maxsize=1)

    @property
    def position(self) -> int:
        """The number of the last record that is done with."""
        return self._positions.of(self.name)

    @property
    def waiting(self) -> int:
        """How many records are not done with."""
        return self._desk.last - self.position

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._prepare())
            group.create_task(self._deliver())

    async def _prepare(self) -> None:
        number = self.position
        while True:
            for record in await self._desk.after(max(number, self.position)):
                number = record.number
                if number > self.position:
                    await self._ready.put(await self._workshop.prepared(record))

    async def _deliver(self) -> None:
        while True:
            prepared = await self._ready.get()
            while prepared.number > self.position:
                beyond = await self._deliver_within_limits(prepared)
                if beyond is None:
                    await self._advance(prepared.number)
                else:
                    await self._give_up(*beyond)

    async def _deliver_within_limits(self, prepared: Prepared) -> tuple[int, str] | None:
        """Deliver a record; else return up to which number records are to be given up, and why."""
        beyond = await self._beyond(prepared)
        if beyond is not None:
            return beyond
        task = asyncio.create_task(self._courier.deliver(prepared))
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=LOOK_SECONDS)
                beyond = None if task.done() else await self._beyond(prepared)
                if beyond is not None:
                    break
        finally:
            task.cancel()
            await asyncio.wait({task})  # it lets go of its connection before the next one begins
        if task.cancelled() and beyond is None:  # by nobody here: it is no delivery
            await asyncio.sleep(LOOK_SECONDS)
            return await self._deliver_within_limits(prepared)
        if task.cancelled():
            return beyond
        await task  # it may have ended while the limits were looked at: then it is delivered
        return None

    async def _beyond(self, prepared: Prepared) -> tuple[int, str] | None:
        limits = self._limits
        if limits is None:
            return None
        last = await asyncio.to_thread(self._desk.overfull, self.position, limits.max_bytes)
        if last is not None:
            return last, "size"
        age = time.time() - prepared.fetched_us / 1e6
        if limits.max_seconds and prepared.fetched_us and age > limits.max_seconds:
            return prepared.number, "age"
        return None

    async def _give_up(self, last: int, cause: str) -> None:
        events = await asyncio.to_thread(self._desk.count, self.position, last)
        if self._limits is not None:
            self._limits.gave_up(events, cause)
        await self._advance(last)

    async def _advance(self, number: int) -> None:
        try:
            await self._positions.advance(self.name, number)
        except JournalUnavailable as error:  # done in memory; a redo after a crash is recognised
            self._tell(str(error))
            _log.warning("the journal cannot note what is done", reason=str(error))
