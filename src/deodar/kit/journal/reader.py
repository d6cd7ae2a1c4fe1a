"""Reading a journal's records, while others append, acknowledge and replace."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deodar.kit.journal.files import close, open_existing, read_all, telling
from deodar.kit.journal.recovery import Damage, set_aside
from deodar.kit.journal.segments import Gap, Record, Segment, decode_record

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Place(NamedTuple):
    """Where a record is: the bytes from `start` to at most `end` of a segment."""

    segment: Segment
    number: int
    start: int
    end: int


class Reader:
    """Reads by the list of `segments` that it shares with its journal, under the journal's lock."""

    def __init__(
        self,
        folder: Path,
        segments: list[Segment],
        damage: list[Damage],
        lock: threading.RLock,
        acknowledged: Callable[[], int],
    ) -> None:
        """Read in `folder`; what cannot be read is added to `damage`."""
        self._folder = folder
        self._segments = segments
        self._damage = damage
        self._lock = lock
        self._acknowledged = acknowledged

    def read(self, after: int) -> Iterator[Record]:
        """Yield the unacknowledged records behind number `after`, as `Journal.read` does."""
        segment, descriptor = None, -1
        try:
            while (place := self.locate(after)) is not None:
                with telling(self._folder, "read"):
                    if place.segment is not segment:
                        close(descriptor)
                        segment, descriptor = place.segment, -1
                        descriptor = open_existing(segment.path)
                    record = self._read_at(descriptor, place)
                if record is None and not self.is_present(place.segment):
                    continue  # deleted or replaced just now: look again
                after = place.number
                if record is not None:
                    yield record
        finally:
            close(descriptor)

    def locate(self, after: int) -> Place | None:
        """Return where the first unacknowledged record behind `after` is."""
        with self._lock:
            after = max(after, self._acknowledged())
            for segment in self._segments:
                if segment.numbers and segment.last > after:
                    index = len(segment.numbers) - segment.unread(after)
                    return Place(segment, segment.numbers[index], *segment.place_of(index))
            return None

    def _read_at(self, descriptor: int, place: Place) -> Record | None:
        """Return a record, or None when it is gone or was found damaged."""
        if descriptor < 0:
            return None  # acknowledged or dropped by another thread just now
        data = read_all(descriptor, place.end - place.start, place.start)
        record = decode_record(data)
        if record is not None and record.number == place.number:
            return record
        with self._lock:
            if self.is_present(place.segment):
                damage = set_aside(place.segment.path, Gap(place.start, place.end), data)
                if damage not in self._damage:
                    self._damage.append(damage)
        return None

    def is_present(self, segment: Segment) -> bool:
        """Whether the segment is still there, with the content that is known of it."""
        with self._lock:
            return any(segment is one for one in self._segments)
