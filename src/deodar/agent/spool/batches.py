"""What is on its way to the server: batches of consecutive packets, each with a fixed extent.

A batch that is given once is given again with the very same extent until it is settled: only so can
the server tell a repeated batch from a new one. Up to where packets may be with the server is also
in a file, so that after a restart they are not thinned out, and the same batch is given again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.packets import decode_header
from deodar.kit.journal.files import Marks
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.packets import Header
    from deodar.kit.journal import Journal

_log = logger("agent.spool")


class StoredBatch(NamedTuple):
    """Consecutive packets as one, with their numbers in the spool."""

    first: int
    last: int
    events: int
    first_time: int
    """Time of the first event, µs since the epoch."""
    last_time: int
    body: bytes
    """Their zstd frames, one behind the other."""
    total: int = 0
    """Events ever put into the spool, up to the end of the batch."""
    thinned: int = 0
    """Events between the batch before and the end of this one that were given up and counted."""


class Outgoing:
    """Gives batches and remembers their extents. Not locked."""

    def __init__(self, journal: Journal, path: Path) -> None:
        self._journal = journal
        self._extents: dict[int, int] = {}
        self._marks: Marks | None = None
        self.flight = 0
        """The number up to which packets may be with the server already."""
        try:
            self._marks = Marks(path)
            self.flight = min(self._marks.read(), journal.last())
        except OSError as error:
            _log.warning("what is on its way cannot be written down", error=str(error))
        self._before = self.flight

    def has(self, after: int) -> bool:
        """Whether a batch behind this number was given and not settled, in this run or before."""
        return after in self._extents or after < self._before

    def is_whole(self, after: int, batch: StoredBatch) -> bool:
        """Whether the batch is the one that was given behind this number."""
        return batch.first > after and self._extents.get(after) == batch.last

    def batch(self, after: int, max_events: int, max_bytes: int) -> StoredBatch | None:
        """Return the batch behind number `after`, None if no packet is there.

        A batch without events tells only that there are none up to its last number; its extent is
        not remembered. Raises JournalUnavailable.
        """
        extent = self._extents.get(after)
        end = extent or (self._before if after < self._before else self._journal.last())
        found = _Builder()
        for record in self._journal.read(after):
            header = decode_header(record.header)
            over = found.events + header.events > max_events
            over = over or found.bytes + len(record.body) > max_bytes
            if record.number > end or (extent is None and over and found.events):
                break
            found.add(record.number, header, record.body)
        batch = found.batch()
        if batch is not None and batch.events:
            self._note(after, batch.last)
        return batch

    def settled(self, number: int) -> None:
        """Forget the extents up to a number."""
        self._extents = {after: last for after, last in self._extents.items() if last > number}

    def forget(self) -> None:
        """Forget all extents: the next batch may have another one."""
        self._extents = {}
        self._before = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._marks is not None:
            self._marks.close()

    def _note(self, after: int, last: int) -> None:
        self._extents[after] = last
        if last <= self.flight:
            return
        self.flight = last
        if self._marks is None:
            return
        try:
            self._marks.write(last)
        except OSError as error:
            _log.debug("what is on its way cannot be written down", error=str(error))


class _Builder:
    """A batch while it grows."""

    def __init__(self) -> None:
        self.events = self.bytes = 0
        self._first = self._last = self._total = self._thinned = 0
        self._times: tuple[int, int] | None = None
        self._bodies: list[bytes] = []

    def add(self, number: int, header: Header, body: bytes) -> None:
        self._last, self._total = number, header.total
        self._thinned += header.thinned
        if not header.events:
            return
        self._first = self._first or number
        self.events += header.events
        self.bytes += len(body)
        self._bodies.append(body)
        first, last = self._times or (header.first, header.last)
        self._times = (min(first, header.first), max(last, header.last))

    def batch(self) -> StoredBatch | None:
        if not self._last:
            return None
        first = self._first or self._last
        times = self._times or (0, 0)
        body = b"".join(self._bodies)
        return StoredBatch(first, self._last, self.events, *times, body, self._total, self._thinned)
