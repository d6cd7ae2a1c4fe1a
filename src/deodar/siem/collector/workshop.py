"""Prepares each record once for all destinations that are at it, and again for one that is behind.

What is kept in memory is bounded: a few records, since the journal holds the rest.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deodar.kit.journal import JournalError
from deodar.kit.logging import logger
from deodar.siem.collector.prepare import without_collection

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.kit.journal import Record
    from deodar.siem.collector.prepare import Prepared, Preparer

_TRY_AGAIN = 2.0
_log = logger("siem.collector")


class Workshop:
    """Keeps the last `keep` prepared records; prepares one at a time, in the order of asking."""

    def __init__(
        self, preparer: Preparer, keep: int, hinder: Callable[[str], None] | None = None
    ) -> None:
        """`hinder` is told why preparing waits, or "" once it goes on."""
        self._hinder = hinder or (lambda _text: None)
        self._preparer = preparer
        self._keep = keep
        self._turn = asyncio.Lock()
        self._made: dict[int, asyncio.Task[Prepared]] = {}
        self._running: set[asyncio.Task[Prepared]] = set()
        self._closing = False

    async def warm_up(self) -> None:
        """Do once what is slow at the first time."""
        await asyncio.to_thread(self._preparer.warm_up)

    async def prepared(self, record: Record) -> Prepared:
        """Return what the record becomes; a caller that is cancelled leaves it to the others."""
        task = self._made.pop(record.number, None)
        if task is None:
            task = asyncio.create_task(self._prepare(record))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        self._made[record.number] = task
        while len(self._made) > self._keep:
            self._made.pop(next(iter(self._made)))
        return await asyncio.shield(task)

    async def _prepare(self, record: Record) -> Prepared:
        async with self._turn:
            while not self._closing:
                try:
                    made = await asyncio.to_thread(without_collection, self._preparer, record)
                except JournalError as error:  # what it has to note cannot be made durable yet
                    if self._closing:
                        raise
                    _log.warning("preparing waits", reason=str(error))
                    self._hinder(f"aggregation cannot note what it did: {error}")
                    await asyncio.sleep(_TRY_AGAIN)
                else:
                    self._hinder("")
                    return made
        raise asyncio.CancelledError

    async def close(self) -> None:
        """Return when nothing is being prepared any more; what waits for its turn is given up."""
        self._closing = True
        await asyncio.gather(*self._running, return_exceptions=True)
