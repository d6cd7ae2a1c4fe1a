"""Whoever watches the agent's own events as they come: a bounded queue and a way to wake it.

A reader that is too slow loses the oldest of its queue, and a note in the stream says how many.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from deodar.agent.journal.record import EventType, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.journal.query import Query

SIZE = 1000


class Follower:
    """An endless iterator of new records that meet a query; `close` ends it from any thread."""

    def __init__(
        self,
        query: Query,
        leave: Callable[[Follower], None],
        size: int = SIZE,
    ) -> None:
        self._query = query
        self._leave = leave
        self._changed = threading.Condition()
        self._waiting: deque[Record] = deque()
        self._size = size
        self._skipped = 0
        self._closed = False

    def put(self, record: Record) -> None:
        """Give it a new record; never waits."""
        if not self._query.matches(record):
            return
        with self._changed:
            if self._closed:
                return
            if len(self._waiting) >= self._size:
                self._waiting.popleft()
                self._skipped += 1
            self._waiting.append(record)
            self._changed.notify()

    def close(self) -> None:
        """End the iteration, also one that waits; may be called more than once."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._skipped = 0
            self._changed.notify_all()
        self._leave(self)

    def __iter__(self) -> Follower:
        return self

    def __next__(self) -> Record:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                raise StopIteration
            if self._skipped:
                return self._note()
            return self._waiting.popleft()

    def _note(self) -> Record:
        count, self._skipped = self._skipped, 0
        return Record(
            event_id=0,
            event_type=EventType.EVENTS_SKIPPED.value,
            date=round(time.time(), 3),
            danger_level=EventType.EVENTS_SKIPPED.level,
            details={"Count": str(count)},
        )
