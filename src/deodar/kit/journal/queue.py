"""The journal itself: appending, reading, acknowledging, replacing."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from deodar.kit.directory import sync_folder
from deodar.kit.journal.errors import JournalFull, RecordTooLarge
from deodar.kit.journal.files import (
    Marks,
    hold,
    identity,
    remove_leftovers,
    telling,
)
from deodar.kit.journal.reader import Reader
from deodar.kit.journal.recovery import Damage, recover
from deodar.kit.journal.replacement import Replacement, is_in_place, write_replacement
from deodar.kit.journal.segments import (
    PREAMBLE_OVERHEAD,
    RECORD_LIMIT,
    Record,
    encode_record,
)
from deodar.kit.journal.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from deodar.kit.journal.segments import Fold

_LEAST_SEGMENTS = 4  # that max_bytes is divided into, so that freeing one frees a part only


class Stretch(NamedTuple):
    """A segment with unacknowledged records."""

    first: int
    """The number that its file is named by."""
    last: int
    bytes: int
    sealed: bool
    """Whether no more is appended to it, so that it can be replaced."""
    digest: Any
    """Folded from the headers of all its records, acknowledged ones too; None without a fold."""


class Journal:
    """The queue. Safe to use from several threads; one process at a time.

    Attributes:
        identity: UUID text, made when the journal was created.
        cut_bytes: how many bytes of a torn tail were cut off when it was opened.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 16 << 20,
        max_bytes: int | None = None,
        sync: bool = True,
        fold: Fold | None = None,
    ) -> None:
        """Open the journal in `folder`, or make it there, and recover what a crash left behind.

        `segment_bytes` is how large a segment grows, `max_bytes` what all of them together may
        take. Without `sync` records survive a killed process, but not a power cut. `fold` makes
        each segment's digest, which `stretches` tells, of its records' headers.
        Raises JournalUnavailable when the folder cannot be used.
        """
        self._folder = folder
        self._sync = sync
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        if max_bytes is not None:
            self._segment_bytes = min(segment_bytes, max(1, max_bytes // _LEAST_SEGMENTS))
        self._fold = fold
        self._lock = threading.RLock()
        with telling(self._folder, "open"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._holder = hold(folder)
            self._marks = Marks(folder / "acknowledged")
            remove_leftovers(folder)
            state = recover(folder, fold)
            self.identity = identity(folder, state.identities)
            self._segments, self._damage = state.segments, state.damage
            self._last_header, self.cut_bytes = state.last_header, state.cut_bytes
            gone = self._segments[0].first - 1 if self._segments else 0
            self._acknowledged = max(self._marks.read(), gone)
            self._last = max(state.last, self._acknowledged)
            self._reader = Reader(folder, self._segments, self._damage, self._lock, self._done)
            self._writer = Writer(folder, self.identity, self._segments, sync=sync)

    # What is in it

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What could not be read, in the order it was found."""
        with self._lock:
            return tuple(self._damage)

    @property
    def acknowledged(self) -> int:
        """The number up to which all records are done; 0 at first."""
        return self._acknowledged

    @property
    def last_header(self) -> bytes:
        """The header of the last record ever appended, b"" before the first."""
        return self._last_header

    @property
    def bytes_used(self) -> int:
        """Bytes of all segment files."""
        with self._lock:
            return sum(segment.size for segment in self._segments)

    def first(self) -> int:
        """Return the number of the oldest unacknowledged record, 0 when there is none."""
        with self._lock:
            place = self._reader.locate(self._acknowledged)
            return 0 if place is None else place.number

    def last(self) -> int:
        """Return the number of the last record ever appended, acknowledged or not; 0 at first."""
        return self._last

    def __len__(self) -> int:
        """Return how many records are not acknowledged."""
        with self._lock:
            return sum(segment.unread(self._acknowledged) for segment in self._segments)

    # Writing

    def append(self, header: bytes, body: bytes) -> int:
        """Store a record and return its number; when this returns, it is durable.

        Raises JournalFull, RecordTooLarge or JournalUnavailable; then nothing was stored.
        """
        return self.append_many([(header, body)])[0]

    def append_many(self, records: Iterable[tuple[bytes, bytes]]) -> list[int]:
        """Store (header, body) records by one write, all or none; return their numbers.

        Raises as `append` does.
        """
        batch = list(records)
        if not batch:
            return []
        with self._lock, telling(self._folder, "append to"):
            numbers = list(range(self._last + 1, self._last + 1 + len(batch)))
            parts = [encode_record(n, *record) for n, record in zip(numbers, batch, strict=True)]
            sizes = [sum(map(len, part)) for part in parts]
            self._make_room(sizes)
            self._writer.write(b"".join(piece for part in parts for piece in part))
            segment = self._segments[-1]
            for number, size, (header, _) in zip(numbers, sizes, batch, strict=True):
                segment.add(number, segment.size)
                segment.size += size
                if self._fold is not None:
                    segment.digest = self._fold(segment.digest, header)
            self._last, self._last_header = numbers[-1], batch[-1][0]
            return numbers

    def acknowledge(self, number: int) -> None:
        """Take all records up to `number` as done, and free the segments that are done whole.

        A number that was acknowledged before changes nothing. Raises ValueError for one that was
        never given, JournalUnavailable when the disk refuses (it is still done in memory).
        """
        with self._lock, telling(self._folder, "acknowledge in"):
            if number > self._last:
                raise ValueError(f"record {number} does not exist; the last one is {self._last}")
            if number <= self._acknowledged:
                return
            self._acknowledged = number
            self._marks.write(number)
            self._delete_done()

    # Replacing

    def stretches(self) -> list[Stretch]:
        """Return the segments that have unacknowledged records, oldest first."""
        with self._lock:
            newest = self._segments[-1] if self._segments else None
            return [
                Stretch(one.first, one.last, one.size, one is not newest, one.digest)
                for one in self._segments
                if one.unread(self._acknowledged)
            ]

    def seal(self) -> None:
        """Append no more to the newest segment, if it has records; raises JournalUnavailable."""
        with self._lock, telling(self._folder, "begin a segment in"):
            self._writer.repair()
            if self._segments and self._segments[-1].numbers:
                self._start_segment()

    def prepare(self, first: int, records: Iterable[Record]) -> Replacement | None:
        """Write new content for the sealed segment `first` beside it; one at a time.

        Nobody is held up meanwhile. The records' numbers rise and are of the segment's own.
        Returns None when there is no such segment. Raises JournalUnavailable; then nothing is left.
        """
        with self._lock:
            old = next((one for one in self._segments[:-1] if one.first == first), None)
        if old is None:
            return None
        with telling(self._folder, "replace a segment of"):
            return write_replacement(old, self.identity, records, sync=self._sync, fold=self._fold)

    def replace(self, new: Replacement) -> bool:
        """Put prepared content in its place in one step; False when its segment is gone.

        Raises JournalUnavailable; then the old content is there.
        """
        with self._lock, telling(self._folder, "replace a segment of"):
            if not self._reader.is_present(new.old):
                new.discard()
                return False
            new.take_place()
            place = next(i for i, one in enumerate(self._segments) if one is new.old)
            self._segments[place] = new.new
        if self._sync:
            with contextlib.suppress(OSError):  # it is in place, if not for a power cut
                sync_folder(self._folder)
        return True

    def is_replaced(self, mark: str) -> bool:
        """Return whether the replacement with this mark has taken its place."""
        return is_in_place(self._folder, mark)

    # Reading

    def read(self, after: int = 0) -> Iterator[Record]:
        """Yield the unacknowledged records behind number `after`, oldest first.

        Ends when it has caught up with what is appended; ask again for more. A record that became
        unreadable is skipped and listed in `damage`. Raises JournalUnavailable when the disk fails.
        """
        return self._reader.read(after)

    def close(self) -> None:
        """Let go of the files; everything appended stays. May be called more than once."""
        with self._lock:
            self._writer.close()
            self._marks.close()
            self._holder.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _done(self) -> int:
        return self._acknowledged

    # Segments

    def _make_room(self, sizes: Sequence[int]) -> None:
        """Start a segment if the newest has none left; raise JournalFull when there is no more."""
        need = sum(sizes)
        limit = RECORD_LIMIT
        if self._max_bytes is not None:
            preamble = PREAMBLE_OVERHEAD + len(self._last_header)
            limit = min(limit, self._max_bytes - preamble)
        if need > limit:
            raise RecordTooLarge(
                f"{need} bytes can never be stored in the journal {self._folder}, "
                f"whose limit for one write is {limit} bytes; "
                "make the record smaller or max_bytes larger"
            )
        self._writer.repair()
        newest = self._segments[-1] if self._segments else None
        if newest is None or (newest.numbers and newest.size + need > self._segment_bytes):
            self._start_segment()
        if self._is_full(need) and self._acknowledged >= self._last and self._segments[-1].numbers:
            self._start_segment()
        self._delete_done()
        if self._is_full(need):
            raise JournalFull(
                f"the journal {self._folder} is full: {self.bytes_used} of {self._max_bytes} "
                f"bytes are used and {need} more are needed"
            )

    def _is_full(self, need: int) -> bool:
        return self._max_bytes is not None and self.bytes_used + need > self._max_bytes

    def _start_segment(self) -> None:
        self._writer.start(self._last + 1, self._last_header)

    def _delete_done(self) -> None:
        """Delete the segments whose records are all acknowledged, but never the newest one."""
        done = [item for item in self._segments[:-1] if item.last <= self._acknowledged]
        if done and self._sync:
            self._marks.sync()
            self._writer.sync_folder()
        for segment in done:
            segment.path.unlink(missing_ok=True)
            self._segments.remove(segment)
