"""Keeping the agent's own events whatever the disk does. Not for several threads at once.

What the disk does not take is held in memory, up to a bound, and stored when it does again; a
damaged file is set aside and a new one begun.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.journal.connection import READ_ERRORS, is_damage, set_aside, told
from deodar.agent.journal.database import Database, Window
from deodar.agent.journal.record import EventType, Record, detail_texts
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deodar.agent.journal.query import Query

HELD = 1000
"""Events that are held in memory while the disk takes none."""
RETRY = 5.0
"""Seconds after which a disk that took nothing is tried again, when there is something to store."""

_log = logger("agent.journal")


class Keeper:
    """The file, and what is held for it. `show` is given each new record that gets a number."""

    def __init__(
        self, path: Path, limit: int, show: Callable[[Record], None], age: Callable[[], float]
    ) -> None:
        self.path = path
        self.problem = ""
        """Why the disk takes nothing now; "" while it does."""
        self.dropped = 0
        """How many events could neither be stored nor held."""
        self.numberings = 1
        """Rises when held events get other numbers, behind those of a file that opened late."""
        self._limit = max(1, limit)
        self._show = show
        self._age = age
        self._database: Database | None = None
        self._held: dict[int, Record] = {}
        self._last = 0
        self._retry_at = 0.0
        self._told_dropped = 0

    def append(self, made: Record) -> Record:
        """Give a new event its number, hold it for the file, and show it."""
        self._last += 1
        record = msgspec.structs.replace(made, event_id=self._last)
        self.hold(record)
        self._show(record)
        return record

    def hold(self, record: Record) -> None:
        """Hold a record for the file; one with the same number gives way to it."""
        if record.event_id not in self._held and len(self._held) >= HELD:
            self.dropped += 1
        else:
            self._held[record.event_id] = record

    def store(self, *, now: bool = False) -> None:
        """Write what is held, unless the disk took nothing a short while ago (or if `now`)."""
        if self.problem and self._age() < self._retry_at and not now:
            return
        for _ in range(2):  # again after a damaged file was set aside
            try:
                self._write()
            except READ_ERRORS as error:
                if self._troubled(error):
                    continue
                return
            self._recovered()
            return

    def set_limit(self, limit: int) -> None:
        """Keep at most so many events from now on; the oldest go at once."""
        self._limit = max(1, limit)
        database = self._database
        if database is None or database.last - database.first < self._limit:
            return
        try:
            database.keep(self._limit)
            database.shrink()
        except READ_ERRORS as error:
            self._troubled(error)

    def ends(self) -> tuple[int, int]:
        """Return the numbers of the first and the last event; the last is smaller if none."""
        first = self._database.first if self._database is not None else self._last + 1
        return min([first, *self._held]), self._last

    def window(self, low: int, high: int, query: Query, *, reverse: bool) -> Window:
        """Return the next events, stored or held; raises JournalError."""
        stored = self._stored(low, high, query, reverse=reverse)
        near, far = (stored.edge, high) if reverse else (low, stored.edge)
        records = {record.event_id: record for record in stored.records}
        held = {number: r for number, r in self._held.items() if near <= number <= far}
        records |= {number: r for number, r in held.items() if query.matches(r)}
        return Window([records[n] for n in sorted(records, reverse=reverse)], stored.edge)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _stored(self, low: int, high: int, query: Query, *, reverse: bool) -> Window:
        if self._database is None:
            return Window([], low if reverse else high)
        try:
            return self._database.window(low, high, query, reverse=reverse)
        except READ_ERRORS as error:
            self._troubled(error)
            raise told(error, self.path) from error

    def _write(self) -> None:
        if self._database is None:
            self._database = Database(self.path)
            if self._held and self._database.last >= min(self._held):
                self._renumber(self._database.last)
            self._last = max(self._last, self._database.last)
        if self._held:
            self._database.write(list(self._held.values()), self._limit)
            self._held.clear()

    def _renumber(self, last: int) -> None:
        """Put held events behind those of a file that could not be opened until now."""
        held = enumerate(self._held.values(), last + 1)
        self._held = {n: msgspec.structs.replace(r, event_id=n) for n, r in held}
        self._last = last + len(self._held)
        self.numberings += 1

    def _troubled(self, error: Exception) -> bool:
        """Take note of what is wrong; whether a new file can be tried at once."""
        if is_damage(error) and self._set_aside(error):
            return True
        if not self.problem:
            _log.warning("events cannot be stored", path=str(self.path), error=str(error))
        self.problem = str(error) or type(error).__name__
        self._retry_at = self._age() + RETRY
        return False

    def _set_aside(self, error: Exception) -> bool:
        self.close()
        try:
            aside = set_aside(self.path)
        except OSError:
            return False
        _log.error("the file of events is damaged", set_aside=str(aside), error=str(error))
        self.append(_own(EventType.EVENTS_DAMAGED, File=aside, Problem=error))
        return True

    def _recovered(self) -> None:
        if not self.problem:
            return
        problem, self.problem = self.problem, ""
        dropped, self._told_dropped = self.dropped - self._told_dropped, self.dropped
        _log.info("events can be stored again", path=str(self.path), dropped=dropped)
        self.append(_own(EventType.DISK_PROBLEM, Problem=problem, Dropped=dropped))
        self.store()


def _own(event_type: EventType, **details: Any) -> Record:
    return Record(
        event_id=0,
        event_type=event_type.value,
        date=round(time.time(), 3),
        danger_level=event_type.level,
        details=detail_texts(details),
    )
