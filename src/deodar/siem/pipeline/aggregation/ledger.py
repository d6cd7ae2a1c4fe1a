"""What aggregation did to each record of the collector's journal, durably, before anybody sees it.

An entry says which events of a record were taken into windows, which events came out, and which
windows changed; now and then it has all windows. So each record is folded once: one that is asked
for again, by a destination that is behind or after a crash, gets what it got the first time, also
when dictionaries, names or rules have changed since. The entries are a journal of their own in the
collector's folder, ``aggregation/``. They go when all destinations are past their records.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import msgspec

from deodar.kit.journal import Journal
from deodar.siem.pipeline.aggregation.fold import State
from deodar.siem.pipeline.aggregation.rule import Shape  # noqa: TC001  (msgspec reads it)
from deodar.siem.pipeline.aggregation.window import (  # noqa: TC001  (msgspec reads them)
    Value,
    Window,
)

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.kit.journal import Damage, Record

FOLDER = "aggregation"
_LEAST_BETWEEN = 1 << 20
_BETWEEN = 4  # how many times the bytes of all windows are written before they are written again


class _Header(msgspec.Struct, frozen=True):
    """Which record of which journal an entry is about; a complete one has all windows instead."""

    journal: str
    record: int
    complete: bool = False


class Entry(msgspec.Struct, frozen=True):
    """What was done to a record.

    `taken` are places of events in their answer, as 32-bit integers; `out` the events that came out
    of windows as an Arrow IPC stream, without the columns that every event of a collector gets.
    `windows` are those that changed, all of them if the entry is a complete one.
    """

    now: int
    taken: bytes = b""
    out: bytes = b""
    early: int = 0
    windows: tuple[Window, ...] = ()
    closed: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    shapes: tuple[Shape, ...] = ()


class Ledger:
    """The entries of one collector; for one caller at a time."""

    def __init__(self, home: Path, journal: str, max_bytes: int, acknowledged: int) -> None:
        """Open the ledger for the journal of that identity, or make it.

        `acknowledged` is the number of the last record that all destinations are done with. Raises
        JournalUnavailable when the folder cannot be used.
        """
        self._journal = journal
        self._entries = Journal(home / FOLDER, max_bytes=max_bytes)
        self._records, self._numbers = array("Q"), array("Q")  # of each entry, rising
        self._complete = 0  # the number of the last complete entry
        self._since, self._size = 0, 0  # bytes since that entry, and its own
        self.state = State()
        for one in self._entries.read():
            self._load(one)
        self.frontier = max(acknowledged, self._records[-1] if self._records else 0)

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What of it could not be read."""
        return self._entries.damage

    @property
    def bytes_used(self) -> int:
        """Its size on disk."""
        return self._entries.bytes_used

    def _load(self, one: Record) -> None:
        header = msgspec.msgpack.decode(one.header, type=_Header)
        entry = _decoded(one)
        if header.complete:
            self.state = State()
        self.state.shapes |= {shape.digest: shape for shape in entry.shapes}
        self.state.apply(entry.now, entry.windows, entry.closed)
        self._note(header, one.number, len(one.body))

    def _note(self, header: _Header, number: int, size: int) -> None:
        if header.complete:
            self._complete, self._since, self._size = number, 0, size
            return
        self._since += size
        if header.journal == self._journal:  # else the collector's journal was made anew
            self._records.append(header.record)
            self._numbers.append(number)

    def find(self, record: int) -> Entry | None:
        """Return what was done to a record; None when nothing was, or it was not folded yet."""
        place = bisect_left(self._records, record)
        if place == len(self._records) or self._records[place] != record:
            return None
        number = self._numbers[place]
        found = next(self._entries.read(number - 1), None)
        return _decoded(found) if found and found.number == number else None

    def append(self, record: int, entry: Entry) -> None:
        """Make an entry durable.

        Raises JournalFull, RecordTooLarge or JournalUnavailable; then nothing was written.
        """
        self._write(_Header(self._journal, record), entry)

    def tidy(self, acknowledged: int) -> None:
        """Write all windows once that is worth it, and let go of what nobody asks for any more.

        Raises as `append`; it can be tried again with the next record.
        """
        if self._since > max(_LEAST_BETWEEN, _BETWEEN * self._size):
            shapes = {one.shape: self.state.shapes[one.shape] for one in self.state.every()}
            every = tuple(self.state.every())
            entry = Entry(self.state.now, windows=every, shapes=tuple(shapes.values()))
            self._write(_Header(self._journal, 0, complete=True), entry)
        place = bisect_right(self._records, acknowledged)
        if place and self._complete:
            self._entries.acknowledge(min(self._numbers[place - 1], self._complete - 1))
            del self._records[:place], self._numbers[:place]

    def _write(self, header: _Header, entry: Entry) -> None:
        body = msgspec.msgpack.encode(entry)
        number = self._entries.append(msgspec.msgpack.encode(header), body)
        self._note(header, number, len(body))

    def close(self) -> None:
        """Let go of the files."""
        self._entries.close()


def _decoded(record: Record) -> Entry:
    return msgspec.msgpack.decode(record.body, type=Entry)
