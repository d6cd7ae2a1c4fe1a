"""The log itself: takes packets, commits them in groups, knows what was taken, wakes readers.

One committer gives the sequence numbers. It gathers what comes within a quarter of a second, or
while the last block was written, into one block, since a block costs the same whether it has ten
rows or a thousand; when a good block's worth is there, it does not wait. A block that is refused is
tried again, the same rows under the same deduplication token, until it is in: whether the
failed try had written it or not, it is there once. Senders are told after a few tries to repeat
later; their repeats are recognised by the packet's number.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from typing import TYPE_CHECKING

import pyarrow as pa

from deodar.edr.database import now_us
from deodar.edr.errors import LogFull, LogUnavailable, PacketRefused, PartlyTaken
from deodar.edr.log.ledger import Ledger
from deodar.edr.log.packet import Packet, block
from deodar.edr.log.schema import TABLE, prepare
from deodar.edr.log.view import Counters, View
from deodar.edr.log.voids import NONE
from deodar.kit.background import occurs
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger
from deodar.store.errors import QueryError, StoreError, StoreFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from deodar.edr.log.lineage import Lineage
    from deodar.edr.settings import Ingest as Bounds
    from deodar.store.engine import Engine

_TRIES_BEFORE_TELLING = 3
_LONGEST_PAUSE = 5.0

# ClickHouse's codes for a block whose content does not fit the table, whenever it is tried again.
_CONTENT = frozenset({6, 10, 16, 20, 27, 32, 33, 43, 44, 53, 69, 70, 72, 117, 131, 190, 349})

log = logger("edr.log")


class _BadContent(Exception):  # noqa: N818
    """The store refuses a block for what is in it."""


class _Waiting:
    """A packet in the queue, and who waits for it to be committed."""

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done.add_done_callback(_looked_at)


class EventLog(View):
    """An opened log that this process writes."""

    def __init__(
        self,
        engine: Engine,
        bounds: Bounds,
        lineage: Lineage,
        numbers: tuple[int, int],
        taken: dict[str, int],
        confirm: Callable[[int], None] | None = None,
    ) -> None:
        """`numbers` are the first and the last of the events that are there, 0 for none.

        `confirm` is called in a thread with the last number of each block that is in the store,
        before anybody is told of it. With it, the log is closed by the first failure that senders
        are told of: they send many packets of one source at once, and one that came after a
        packet was given up would make that look like a repeat.
        """
        super().__init__(engine, lineage, numbers)
        self._engine = engine
        self._bounds = bounds
        self._taken = taken
        self._confirm = confirm
        self._queue: deque[_Waiting] = deque()
        self._under_way: dict[tuple[str, int], _Waiting] = {}
        self._bytes = self._events = 0
        self._wake = asyncio.Event()
        self._closed = asyncio.Event()
        self._failure: LogUnavailable | None = None

    @property
    def failure(self) -> str | None:
        """Why the store takes nothing at present, or None."""
        return None if self._failure is None else str(self._failure)

    @property
    def queued(self) -> int:
        """The number of events that wait to be committed."""
        return self._events

    def was_taken(self, source: str, number: int, first: int = 0) -> bool:
        """Whether a packet of a source, or one after it, has been committed.

        For one that begins with another's number, `first`, raises PartlyTaken when that was
        committed, but not the whole.
        """
        committed = self._taken.get(source, 0)
        if number > committed >= (first or number):
            raise PartlyTaken(first, number, committed)
        return number <= committed

    async def knows(self, source: str, number: int, first: int = 0) -> bool:
        """Whether a packet was taken; the same as `was_taken`, since nobody else writes the log."""
        return self.was_taken(source, number, first)

    async def append(self, packet: Packet) -> bool:
        """Take a packet; returns when it is durable: True, or False if it was taken before.

        Packets of one source must come in the order of their numbers. Raises LogUnavailable when
        the queue is full or the store fails; the packet must then be sent again, and will be in
        the log once even if this attempt is completed later. Raises PartlyTaken.
        """
        if self.was_taken(packet.source, packet.number, packet.first):
            return False
        known = self._under_way.get(packet.key)
        if self._failure is not None:
            raise _again(self._failure)
        if self._closed.is_set():
            raise LogUnavailable("the server is stopping")
        if known is not None:
            await asyncio.shield(known.done)
            return False
        self._check_room(packet)
        waiting = self._enqueue(packet)
        await asyncio.shield(waiting.done)
        return True

    async def run(self) -> None:
        """Commit what comes until `close`, and then what is still queued."""
        while not (self._closed.is_set() and not self._queue):
            await self._gather()
            group = self._take_group()
            if group:
                await self._commit(group)

    def close(self) -> None:
        """Take nothing more; `run` ends after what is queued."""
        self._closed.set()
        self._wake.set()

    def _check_room(self, packet: Packet) -> None:
        bounds = self._bounds
        if not self._queue:
            return  # whatever its size: it could never come in otherwise
        if (
            self._bytes + packet.size > bounds.queue_bytes
            or self._events + packet.events > bounds.queue_events
        ):
            raise LogUnavailable("too much waits to be written; repeat later", retry_after=1)

    def _enqueue(self, packet: Packet) -> _Waiting:
        waiting = _Waiting(packet)
        self._queue.append(waiting)
        self._under_way[packet.key] = waiting
        self._bytes += packet.size
        self._events += packet.events
        self._wake.set()
        return waiting

    async def _gather(self) -> None:
        """Wait for a first packet, and a little longer for more of them."""
        while not self._queue and not self._closed.is_set():
            self._wake.clear()
            await self._wake.wait()
        deadline = asyncio.get_running_loop().time() + self._bounds.group_delay
        enough = min(self._bounds.group_enough, self._bounds.group_events)
        while self._events < enough and not self._closed.is_set():
            self._wake.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _take_group(self) -> list[_Waiting]:
        """Take what goes into one block: at least one packet, the rest within the bounds."""
        group: list[_Waiting] = []
        events = size = 0
        while self._queue:
            packet = self._queue[0].packet
            events += packet.events
            size += packet.size
            if group and (events > self._bounds.group_events or size > self._bounds.group_bytes):
                break
            group.append(self._queue.popleft())
            self._bytes -= packet.size
            self._events -= packet.events
        return group

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        packets = [waiting.packet for waiting in group]
        first = self.watermark.value + 1
        try:
            rows = await asyncio.to_thread(block, packets, first, now_us())
            if not await self._insert(rows, group):
                return
        except (_BadContent, pa.ArrowException) as error:
            await self._isolate(group, str(error))
            return
        last = first + rows.num_rows - 1
        if not await self._is_confirmed(last, group):
            return
        for waiting in group:
            packet = waiting.packet
            self._taken[packet.source] = max(packet.number, self._taken.get(packet.source, 0))
            self._under_way.pop(packet.key, None)
            _resolve(waiting, None)
        self._count(rows.num_rows, len(group))
        self.recent.add(first - 1, rows.column("raw").chunk(0))
        self.watermark.advance(last)

    async def _is_confirmed(self, last: int, group: Sequence[_Waiting]) -> bool:
        """Whether a block that is in the store counts; if not, nothing more is written here."""
        if self._confirm is None:
            return True
        try:
            await asyncio.to_thread(self._confirm, last)
        except DeodarError as error:
            log.warning("block_not_confirmed", last=last, reason=str(error))
            self._tell_failure(error, group)
            return False
        return True

    async def _isolate(self, group: Sequence[_Waiting], reason: str) -> None:
        """Commit the packets one by one, and refuse the one whose content the store refuses."""
        if len(group) > 1:
            for waiting in group:
                await self._commit([waiting])
            return
        log.error("packet_refused", source=group[0].packet.source, reason=reason)
        self._under_way.pop(group[0].packet.key, None)
        _resolve(group[0], PacketRefused(f"the event log cannot keep it: {reason}"))

    async def _insert(self, rows: pa.Table, group: Sequence[_Waiting]) -> bool:
        """Insert a block, again and again; returns False only when the log is closed before."""
        token = uuid.uuid4().hex
        tries = 0
        while True:
            try:
                await asyncio.to_thread(self._engine.insert, TABLE, rows, deduplication_token=token)
            except StoreError as error:
                if isinstance(error, QueryError) and error.code in _CONTENT:
                    raise _BadContent(str(error)) from error
                tries += 1
                self.counters = _plus(self.counters, failures=1)
                log.warning(
                    "store_refuses_block", events=rows.num_rows, tries=tries, reason=str(error)
                )
                if tries >= _TRIES_BEFORE_TELLING or self._closed.is_set():
                    self._tell_failure(error, group)
                if self._closed.is_set():
                    return False
                await occurs(self._closed, min(0.1 * 2**tries, _LONGEST_PAUSE))
            else:
                self._failure = None
                return True

    def _tell_failure(self, reason: DeodarError, group: Sequence[_Waiting]) -> None:
        """Let all senders go with an error; only the block under way is kept, to be tried again."""
        if self._confirm is not None:
            self.close()
        text = f"the event log cannot be written: {reason}"
        full = isinstance(reason, StoreFull)
        self._failure = LogFull(text) if full else LogUnavailable(text, retry_after=5)
        for waiting in (*group, *self._queue):
            _resolve(waiting, _again(self._failure))
        for waiting in self._queue:
            self._under_way.pop(waiting.packet.key, None)
        self._queue.clear()
        self._bytes = self._events = 0

    def _count(self, events: int, packets: int) -> None:
        self.counters = _plus(self.counters, events=events, packets=packets, blocks=1)


def open_log(engine: Engine, bounds: Bounds) -> EventLog:
    """Bring the store's tables up to date and open the log where it ended.

    Raises StoreError. Call it within the event loop that will use the log.
    """
    lineage = prepare(engine)
    (ends,) = engine.query(f"SELECT min(seq) AS a, max(seq) AS z FROM {TABLE}").to_pylist()  # noqa: S608
    numbers = int(ends["a"] or 0), int(ends["z"] or 0)
    taken = Ledger(engine).read(numbers[1], NONE)
    return EventLog(engine, bounds, lineage, numbers, taken)


@contextlib.asynccontextmanager
async def running(
    engine: Engine, bounds: Bounds, stop: asyncio.Event | None = None
) -> AsyncIterator[EventLog]:
    """Give a log with its committer at work; at the end what is queued is committed.

    `stop` is set should the committer ever end by itself; what ended it is raised here.
    """
    async with committing(open_log(engine, bounds), stop) as opened:
        yield opened


@contextlib.asynccontextmanager
async def committing(opened: EventLog, stop: asyncio.Event | None) -> AsyncIterator[EventLog]:
    """Give an opened log with its committer at work, as `running` does."""
    committer = asyncio.create_task(opened.run(), name="event log committer")
    if stop is not None:
        committer.add_done_callback(lambda _: stop.set())
    try:
        yield opened
    finally:
        opened.close()
        await committer


def _again(error: LogUnavailable) -> LogUnavailable:
    """Return an error of its own for each sender, since raising one marks it."""
    return type(error)(str(error), error.retry_after)


def _resolve(waiting: _Waiting, error: Exception | None) -> None:
    if waiting.done.done():
        return
    if error is None:
        waiting.done.set_result(None)
    else:
        waiting.done.set_exception(error)


def _looked_at(future: asyncio.Future[None]) -> None:
    """Take note of the result, as the sender may have gone."""
    if not future.cancelled():
        future.exception()


def _plus(counters: Counters, **more: int) -> Counters:
    return Counters(
        **{
            name: getattr(counters, name) + more.get(name, 0)
            for name in Counters.__dataclass_fields__
        }
    )
