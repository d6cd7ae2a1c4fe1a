"""The collector's journal behind an asynchronous face: one writer in order, waits when it is full.

Appends are never given up half-way: a caller that is cancelled leaves a running append to finish,
and the next one waits for it, so that the chain of tokens in the journal has no gap and no fork.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.kit.background import occurs
from deodar.kit.journal import JournalFull, JournalUnavailable, Record
from deodar.kit.logging import logger
from deodar.siem.collector.prepare import count_events
from deodar.siem.collector.record import RecordHeader, encode
from deodar.siem.collector.resume import resume

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from deodar.kit.journal import Journal
    from deodar.siem.collector.replay import Parcel
    from deodar.siem.collector.streams import Streams
    from deodar.siem.connectors.base import Handover

READ_BYTES = 16 << 20
LOOK_AGAIN = 5.0
_log = logger("siem.collector")


class Desk:
    """The one owner of an open journal; `token` is where the stream stands in it."""

    def __init__(
        self,
        journal: Journal,
        source: str,
        hinder: Callable[[str], None],
        streams: Streams | None = None,
    ) -> None:
        """`hinder` is told why appending waits, or "" once it goes on.

        `streams` knows the places in former streams. Raises StateError when it cannot be written.
        """
        self._journal = journal
        self._source = source
        self._hinder = hinder
        self._lock = asyncio.Lock()
        self._appended = asyncio.Event()
        self._freed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._latest: Record | None = None
        found = resume(journal.last_header, source, streams)
        self.token, self.why_initial = found.state, found.why
        self._since_us, self.begun = found.since_us, found.begun

    @property
    def identity(self) -> str:
        """The journal's own identity, part of each batch's."""
        return self._journal.identity

    @property
    def acknowledged(self) -> int:
        """The number of the last record that is done with."""
        return self._journal.acknowledged

    @property
    def waiting(self) -> int:
        """Records that are not done with."""
        return len(self._journal)

    @property
    def last(self) -> int:
        """The number of the last record ever appended."""
        return self._journal.last()

    @property
    def bytes_used(self) -> int:
        """The journal's size on disk."""
        return self._journal.bytes_used

    async def put(self, handover: Handover) -> None:
        """Make a body durable with the state behind it, however long that takes.

        What comes of a stream that was given up meanwhile (its state reset) is dropped.
        """
        header = RecordHeader(
            "answer",
            self._source,
            handover.before,
            handover.after,
            handover.origin,
            time.time_ns() // 1000,
            handover.has_events,
            handover.framing,
            handover.encoding,
            self._since_us,
        )
        await self._chained(header, handover.body)

    async def reset(self, since_us: int = 0) -> None:
        """Record that the stream begins anew, without a token.

        Its events from before `since_us`, µs since the epoch, are not wanted.
        """
        now = time.time_ns() // 1000
        header = RecordHeader(
            "reset", self._source, self.token, None, "", now, has_events=False, since_us=since_us
        )
        await self._chained(header, b"")

    async def again(self, parcel: Parcel) -> None:
        """Make dead letters durable that are sent again; the stream stays where it is."""
        now = time.time_ns() // 1000
        header = RecordHeader(
            "replay",
            self._source,
            None,
            None,
            parcel.source,
            now,
            framing=parcel.framing,
            replay=parcel.replay,
        )
        await self._owned(self._append_between(header, parcel.body))

    async def tick(self) -> None:
        """Record that time goes on though nothing came; the stream stays where it is."""
        now = time.time_ns() // 1000
        header = RecordHeader("tick", self._source, None, None, "", now, has_events=False)
        await self._owned(self._append_between(header, b""))

    async def _append_between(self, header: RecordHeader, body: bytes) -> None:
        """Append a record that stands between two others, wherever the stream is then."""
        async with self._lock:
            placed = msgspec.structs.replace(
                header, token_before=self.token, token_after=self.token, since_us=self._since_us
            )
            await self._append_durably(encode(placed), body)
            self._tell_appended()

    async def _chained(self, header: RecordHeader, body: bytes) -> None:
        await self._owned(self._append(header, body))

    async def _owned(self, append: Coroutine[Any, Any, None]) -> None:
        """Finish an append even if its caller is cancelled."""
        task = asyncio.create_task(append)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _append(self, header: RecordHeader, body: bytes) -> None:
        async with self._lock:
            if header.kind == "answer" and header.token_before != self.token:
                _log.info("an answer of the stream before the reset is dropped", url=header.url)
                return
            await self._append_durably(encode(header), body)
            self.token, self._since_us = header.token_after, header.since_us
            self._tell_appended()

    def _tell_appended(self) -> None:
        self._appended.set()
        self._appended = asyncio.Event()  # each event is for those who wait at one moment

    async def _append_durably(self, header: bytes, body: bytes) -> None:
        while True:
            self._freed.clear()
            try:
                number = await asyncio.to_thread(self._journal.append, header, body)
            except JournalFull as error:
                self._hinder(f"fetching waits, the journal is full: {error}")
            except JournalUnavailable as error:
                self._hinder(f"fetching waits, the journal cannot be written: {error}")
            else:
                self._latest = Record(number, header, body)
                self._hinder("")
                return
            await occurs(self._freed, LOOK_AGAIN)

    async def after(self, number: int) -> list[Record]:
        """Return the records after `number`, at least one, up to about 16 MB; waits for them.

        Several may read at once, each from its own place.
        """
        while True:
            appended, latest = self._appended, self._latest
            if latest is not None and latest.number == number + 1:
                return [latest]  # it need not be read again
            records = await asyncio.to_thread(self._read, number)
            if records:
                return records
            await occurs(appended, LOOK_AGAIN)

    def read(self, after: int) -> Iterator[Record]:
        """Yield the records behind a number that are not done with, oldest first."""
        return self._journal.read(after)

    def _read(self, number: int) -> list[Record]:
        records: list[Record] = []
        size = 0
        for record in self._journal.read(number):
            records.append(record)
            size += len(record.body)
            if size >= READ_BYTES:
                break
        return records

    async def acknowledge(self, number: int) -> None:
        """Note that everything up to `number` is done."""
        if self._latest is not None and self._latest.number <= number:
            self._latest = None
        await asyncio.to_thread(self._journal.acknowledge, number)
        self._freed.set()

    def overfull(self, number: int, max_bytes: int) -> int | None:
        """Return up to which number records must be given up so that those behind fit `max_bytes`.

        The records behind `number` are measured in whole segments. None when they fit.
        """
        behind = [one for one in self._journal.stretches() if one.last > number]
        size, last = sum(one.bytes for one in behind), None
        for one in behind:
            if size <= max_bytes:
                break
            size, last = size - one.bytes, one.last
        return last

    def count(self, after: int, last: int) -> int:
        """Return how many events, as they came, are in the records behind `after` up to `last`."""
        found = 0
        for record in self._journal.read(after):
            if record.number > last:
                break
            found += count_events(record)
        return found
