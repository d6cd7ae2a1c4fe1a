"""The same event again and again becomes one with a count, so that a storm fills no store.

An event that equals the one before it of its type, within a minute, is counted there
(``RepeatCount``, ``RepeatLastDate``). So is any further one of a type of which there were too many
different ones in that minute; the record then has the details of the last. Nothing is merged over
an event of the same type that differs: a task's states stay in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from deodar.agent.journal.record import LEVELS, REPEATS, local_time

if TYPE_CHECKING:
    from deodar.agent.journal.record import Record

WINDOW = 60.0
BURST = 30
TYPES = 64
WRITE_EVERY = 1.0


@dataclass
class _Last:
    """The last record of a type."""

    record: Record
    key: tuple[object, ...]
    since: float
    different: int = 1
    count: int = 1
    written: float = 0.0
    is_written: bool = True


class Repeats:
    """Remembers the last event of each type. Not for several threads at once."""

    def __init__(self) -> None:
        self._last: dict[str, _Last] = {}

    def merge(self, record: Record, now: float) -> Record | None:
        """Return the earlier record with this one counted in, or None if this one is to be stored.

        `now` is a time in seconds that never goes back.
        """
        last = self._last.get(record.event_type)
        if last is None or now - last.since > WINDOW:
            return None
        if last.key != _key(record) and last.different < BURST:
            return None
        last.count += 1
        repeats = dict(zip(REPEATS, (str(last.count), local_time(record.date)), strict=True))
        worst = max(last.record.danger_level, record.danger_level, key=LEVELS.index)
        last.record = msgspec.structs.replace(
            last.record, danger_level=worst, details=record.details | repeats
        )
        last.is_written = False
        return last.record

    def remember(self, record: Record, now: float) -> None:
        """Take note of a record that is stored."""
        last = self._last.get(record.event_type)
        if len(self._last) >= TYPES:
            self._last.clear()
        made = _Last(record, _key(record), now, written=now)
        if last is not None and now - last.since <= WINDOW:
            made.since, made.different = last.since, last.different + 1
        self._last[record.event_type] = made

    def due(self, now: float) -> list[Record]:
        """Return the records whose counts should be stored again: the first counts, then rarely."""
        return self._take(now, seconds=WRITE_EVERY)

    def rest(self) -> list[Record]:
        """Return every record whose count is not stored yet."""
        return self._take(0.0, seconds=None)

    def _take(self, now: float, seconds: float | None) -> list[Record]:
        taken = []
        for last in self._last.values():
            is_early = last.count & (last.count - 1) == 0  # 2, 4, 8 …
            if last.is_written:
                continue
            if seconds is None or is_early or now - last.written >= seconds:
                last.is_written, last.written = True, now if seconds is not None else last.written
                taken.append(last.record)
        return taken


def _key(record: Record) -> tuple[object, ...]:
    details = tuple(record.details.items())
    return record.danger_level, record.initiator, record.task_id, details
