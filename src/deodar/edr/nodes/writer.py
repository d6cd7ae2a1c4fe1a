"""The one node that writes the log from the stream, and how it comes to be the one.

Each node tries for a lock in PostgreSQL; who gets it begins a term (`deodar.edr.nodes.position`),
opens the log where it ended, and reads the stream from its oldest message on. What is committed is
purged from the stream. Packets that a writer before it had committed, but not purged, are known by
their numbers in the log. A term ends with the lock, with a failure of the store, or when the server
stops; all that was not committed is still in the stream then, for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from deodar.edr import writer_lock
from deodar.edr.errors import NotWriter
from deodar.edr.log.eventlog import EventLog
from deodar.edr.log.ledger import Ledger
from deodar.edr.log.lineage import lineage
from deodar.edr.log.schema import TABLE
from deodar.edr.nodes import position as positions
from deodar.edr.nodes.cursor import Cursor
from deodar.edr.nodes.feed import Feed
from deodar.edr.nodes.follower import SUBJECT, told
from deodar.kit.background import background, cancelled
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable

    from deodar.edr.database import SessionLock
    from deodar.edr.nodes.feed import Desk
    from deodar.edr.nodes.position import Position

LOOK_EVERY: Final = 0.5
_LAST_BLOCK: Final = 10.0
"""Seconds that the end of a term waits for the block under way; beyond that it counts no more."""

log = logger("edr.nodes")


class Writer:
    """Writes the log whenever this node is the one to do it. Used within one event loop."""

    def __init__(self, desk: Desk, lock: SessionLock) -> None:
        self._desk = desk
        self._lock = lock
        self._problem = ""
        self.parts_given_up = 0
        """Packets whose last part never came into the stream."""

    @contextlib.asynccontextmanager
    async def running(self, stop: asyncio.Event | None) -> AsyncIterator[None]:
        """Try to be the writer, and write, while this lasts.

        `stop` is set should that ever end by itself; what ended it is raised at the end.
        """
        async with background(self._run(), "writer of the shared log", stop):
            yield

    async def _run(self) -> None:
        while True:
            try:
                # One that cannot reach the stream does not stand in the way of those that can.
                usable = not self._desk.connection.problem
                if usable and await asyncio.to_thread(self._lock.take):
                    await self._write()
            except (DeodarError, OSError) as error:
                self._warn(str(error))
            finally:
                self._desk.view.writes = 0
                await asyncio.to_thread(self._lock.release)
            await asyncio.sleep(LOOK_EVERY)

    def _warn(self, reason: str) -> None:
        """Log why nothing is written, once for each reason."""
        if reason != self._problem:
            log.warning("term_ended", node=self._desk.name, reason=reason)
        self._problem = reason

    async def _write(self) -> None:
        """Write for one term; returns or raises DeodarError when it has ended."""
        desk = self._desk
        cursor = Cursor(desk.connection)
        await cursor.begin()  # before a term is begun: without the stream there is nothing to write
        position, opened = await asyncio.to_thread(self._take_over)
        log.info("term_begun", node=desk.name, term=position.term, behind=position.seq)
        opened.recent = desk.view.recent  # readers of this node get what it wrote from memory
        desk.view.see(position)
        desk.view.writes = position.term
        self._problem = ""
        feed = Feed(desk, cursor, opened)
        works = self._hold_lock(), self._tell(position.term, opened), *feed.works()
        try:
            async with _committing(opened) as committer:
                await _until_one_ends((*works, _over(committer)))
        finally:
            self.parts_given_up += feed.parts_given_up
            await cursor.close()

    def _take_over(self) -> tuple[Position, EventLog]:
        """Begin a term and open the log behind it."""
        desk = self._desk
        before = desk.positions.read()
        rows = desk.engine.query(f"SELECT max(seq) AS last FROM {TABLE}")  # noqa: S608
        end = int(rows.column(0)[0].as_py() or 0)
        if end < before.seq - positions.GAP:
            log.error("log_lacks_events", committed=before.seq, found=end)
        position = desk.positions.begin(before, end, desk.name)
        taken = Ledger(desk.engine).read(position.seq, position.voids)

        def confirm(last: int) -> None:
            positions.confirm(self._lock, position.term, last)

        numbers = position.floor + 1, position.seq
        found = lineage(desk.engine)
        return position, EventLog(desk.engine, desk.bounds, found, numbers, taken, confirm)

    async def _hold_lock(self) -> None:
        while True:
            await asyncio.sleep(writer_lock.LOOK_EVERY)
            if not await asyncio.to_thread(self._lock.take):
                raise NotWriter("the right to write the log went to another server")

    async def _tell(self, term: int, opened: EventLog) -> None:
        """Tell all nodes of each block that is committed."""
        subject = self._desk.connection.subject(SUBJECT)
        while True:
            await opened.watermark.reached(opened.watermark.value + 1, 60)
            await self._desk.connection.tell(subject, told(term, opened.watermark.value))


@contextlib.asynccontextmanager
async def _committing(opened: EventLog) -> AsyncIterator[asyncio.Task[None]]:
    """Let the log commit; at the end what is queued, unless that takes too long."""
    committer = asyncio.create_task(opened.run(), name="event log committer")
    try:
        yield committer
    finally:
        opened.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_BLOCK):
                await committer


async def _over(task: asyncio.Task[None]) -> None:
    """Wait for the end of a task that others end."""
    await asyncio.wait((task,))


async def _until_one_ends(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all until one ends, and raise why it did."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancelled(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error
