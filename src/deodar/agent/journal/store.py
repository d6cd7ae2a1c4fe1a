"""The store of the agent's own events: what parts of the agent add to, and people ask.

Adding never fails and never waits long; see `deodar.agent.journal.keeper` for what happens while
the disk takes nothing.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from deodar.agent.journal.follower import Follower
from deodar.agent.journal.keeper import Keeper
from deodar.agent.journal.record import EventType, Record, detail_texts
from deodar.agent.journal.repeats import Repeats
from deodar.agent.journal.selection import ReadOnlyStore, selected
from deodar.agent.journal.syslog_output import SyslogOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deodar.agent.journal.database import Window
    from deodar.agent.journal.query import Query
    from deodar.tasks.declarations import Task

__all__ = ["EventStore", "ReadOnlyStore"]

LIMIT = 500_000


class EventStore:
    """The events in one file; for any thread. Never raises for a disk that is in trouble."""

    def __init__(
        self,
        path: Path,
        limit: int = LIMIT,
        *,
        syslog: SyslogOutput | None = None,
        age: Callable[[], float] = time.monotonic,
    ) -> None:
        """`age` is a clock that never goes back, in seconds."""
        self._lock = threading.RLock()
        self._age = age
        self._repeats = Repeats()
        self._followers: list[Follower] = []
        self._syslog = syslog or SyslogOutput()
        self._to_syslog = False
        self._closed = False
        self._keeper = Keeper(path, limit, self._show, age)
        self._keeper.store()

    @property
    def problem(self) -> str:
        """Why the disk takes nothing now; "" while it does."""
        return self._keeper.problem

    @property
    def dropped(self) -> int:
        """How many events could neither be stored nor held."""
        return self._keeper.dropped

    def add(
        self,
        event_type: str,
        *,
        level: str | None = None,
        task: Task | None = None,
        initiator: str = "Product",
        runtime_task_id: int = 0,
        **details: Any,
    ) -> Record:
        """Store an event and return it; one that repeats the last is counted there instead.

        `level` is Info, Warning or Critical, if not what is usual for the type. Details become
        text, those that are None are left out.
        """
        made = Record(
            event_id=0,
            event_type=str(event_type),
            date=round(time.time(), 3),
            danger_level=level or _usual_level(event_type),
            initiator=initiator,
            task_id=task.id if task else 0,
            task_name=task.name if task else "",
            task_type=task.type if task else "",
            runtime_task_id=runtime_task_id,
            details=detail_texts(details),
        )
        with self._lock:
            return made if self._closed else self._add(made)

    def select(
        self, query: Query, last: int | None = None, *, reverse: bool = False
    ) -> Iterator[Record]:
        """Yield what meets the query, oldest first, or newest first if `reverse`.

        `last` takes only so many, the newest ones. Raises JournalError when the file cannot be
        read. Events that come meanwhile are not part of it.
        """
        return selected(self, query, last, reverse=reverse)

    def follow(self, query: Query) -> Follower:
        """Return an iterator of the events from now on; its `close` ends it from any thread."""
        follower = Follower(query, self._leave)
        with self._lock:
            if self._closed:
                follower.close()
            else:
                self._followers.append(follower)
        return follower

    def set_limit(self, limit: int) -> None:
        """Keep at most so many events from now on; the oldest go at once."""
        with self._lock:
            self._keeper.set_limit(limit)

    def set_syslog(self, on: bool) -> None:
        """Send events to the system's log daemon too, or no longer."""
        with self._lock:
            self._to_syslog = on
        if not on:
            self._syslog.close()

    def ends(self) -> tuple[int, int]:
        """Return the numbers of the first and the last event; the last is smaller if none."""
        with self._lock:
            self._store_all()
            return self._keeper.ends()

    def window(self, low: int, high: int, query: Query, *, reverse: bool) -> Window:
        """Return the next events of a selection; raises JournalError."""
        with self._lock:
            return self._keeper.window(low, high, query, reverse=reverse)

    def close(self) -> None:
        """Store what is not stored yet, if the disk takes it; end those who follow."""
        with self._lock:
            if self._closed:
                return
            self._store_all()
            self._closed = True
            self._keeper.close()
            followers = list(self._followers)
        for follower in followers:
            follower.close()
        self._syslog.close()

    def _leave(self, follower: Follower) -> None:
        with self._lock:
            if follower in self._followers:
                self._followers.remove(follower)

    # Under the lock

    def _add(self, made: Record) -> Record:
        now = self._age()
        record = self._repeats.merge(made, now)
        for repeated in self._repeats.due(now):
            self._keeper.hold(repeated)
        if record is None:
            record = self._keeper.append(made)
            self._repeats.remember(record, now)
        self._store()
        return record

    def _store_all(self) -> None:
        if self._closed:
            return
        for repeated in self._repeats.rest():
            self._keeper.hold(repeated)
        self._store(now=True)

    def _store(self, *, now: bool = False) -> None:
        numberings = self._keeper.numberings
        self._keeper.store(now=now)
        if self._keeper.numberings != numberings:
            self._repeats = Repeats()

    def _show(self, record: Record) -> None:
        for follower in self._followers:
            follower.put(record)
        if self._to_syslog:
            self._syslog.send(record)


def _usual_level(event_type: str) -> str:
    try:
        return EventType(event_type).level
    except ValueError:
        return "Info"
