"""The journal itself: appending, reading, acknowledging, dropping."""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from deodar.kit.directory import sync_folder
from deodar.kit.journal.errors import JournalFull, JournalUnavailable, RecordTooLarge
from deodar.kit.journal.files import (
    Marks,
    close,
    hold,
    identity,
    open_existing,
    read_all,
    write_all,
)
from deodar.kit.journal.recovery import Damage, recover, set_aside
from deodar.kit.journal.segments import (
    PREAMBLE_OVERHEAD,
    RECORD_LIMIT,
    Gap,
    Record,
    Segment,
    decode_record,
    encode_preamble,
    encode_record,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

_LEAST_SEGMENTS = 4  # that max_bytes is divided into, so that dropping one frees a part only


@dataclass(frozen=True)
class Dropped:
    """Unacknowledged records that were given up: how many, which numbers, bytes on disk."""

    count: int
    first: int
    last: int
    bytes: int


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
    ) -> None:
        """Open the journal in `folder`, or make it there, and recover what a crash left behind.

        `segment_bytes` is how large a segment grows, `max_bytes` what all of them together may
        take. Without `sync` records survive a killed process, but not a power cut.
        Raises JournalUnavailable when the folder cannot be used.
        """
        self._folder = folder
        self._sync = sync
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        if max_bytes is not None:
            self._segment_bytes = min(segment_bytes, max(1, max_bytes // _LEAST_SEGMENTS))
        self._lock = threading.RLock()
        self._torn = True  # there may be bytes behind the newest segment's end, of a failed append
        self._folder_synced = True
        self._closed = False
        with self._disk("open"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._holder = hold(folder)
            self._marks = Marks(folder / "acknowledged")
            state = recover(folder)
            self.identity = identity(folder, state.identities)
            self._segments, self._damage = state.segments, state.damage
            self._last_header, self.cut_bytes = state.last_header, state.cut_bytes
            gone = self._segments[0].first - 1 if self._segments else 0
            self._acknowledged = max(self._marks.read(), gone)
            self._last = max(state.last, self._acknowledged)
            self._newest = self._open_newest()

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
            place = self._locate(self._acknowledged)
            return 0 if place is None else place.number

    def last(self) -> int:
        """Return the number of the last record ever appended, acknowledged or not; 0 at first."""
        return self._last

    def __len__(self) -> int:
        """Return how many records are not acknowledged."""
        with self._lock:
            return sum(_unread(segment, self._acknowledged) for segment in self._segments)

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
        with self._lock, self._disk("append to"):
            numbers = list(range(self._last + 1, self._last + 1 + len(batch)))
            parts = [encode_record(n, *record) for n, record in zip(numbers, batch, strict=True)]
            sizes = [sum(map(len, part)) for part in parts]
            self._make_room(sizes)
            self._write(b"".join(piece for part in parts for piece in part))
            segment = self._segments[-1]
            for number, size in zip(numbers, sizes, strict=True):
                segment.add(number, segment.size)
                segment.size += size
            self._last, self._last_header = numbers[-1], batch[-1][0]
            return numbers

    def acknowledge(self, number: int) -> None:
        """Take all records up to `number` as done, and free the segments that are done whole.

        A number that was acknowledged before changes nothing. Raises ValueError for one that was
        never given, JournalUnavailable when the disk refuses (it is still done in memory).
        """
        with self._lock, self._disk("acknowledge in"):
            if number > self._last:
                raise ValueError(f"record {number} does not exist; the last one is {self._last}")
            if number <= self._acknowledged:
                return
            self._acknowledged = number
            self._marks.write(number)
            self._delete_done()

    def drop_oldest(self) -> Dropped:
        """Give up the unacknowledged records of the oldest segment that has any; free its space.

        Returns what was given up, all zeros when nothing is unacknowledged. Raises
        JournalUnavailable when the disk refuses.
        """
        with self._lock, self._disk("drop from"):
            for segment in self._segments:
                if _unread(segment, self._acknowledged):
                    return self._drop(segment)
            return Dropped(0, 0, 0, 0)

    # Reading

    def read(self, after: int = 0) -> Iterator[Record]:
        """Yield the unacknowledged records behind number `after`, oldest first.

        Ends when it has caught up with what is appended; ask again for more. A record that became
        unreadable is skipped and listed in `damage`. Raises JournalUnavailable when the disk fails.
        """
        path, descriptor = None, -1
        try:
            while (place := self._locate(after)) is not None:
                after = place.number
                with self._disk("read"):
                    if place.segment.path != path:
                        close(descriptor)
                        path, descriptor = place.segment.path, -1
                        descriptor = open_existing(path)
                    record = self._read_at(descriptor, place)
                if record is not None:
                    yield record
        finally:
            close(descriptor)

    def close(self) -> None:
        """Let go of the files; everything appended stays. May be called more than once."""
        with self._lock:
            with contextlib.suppress(OSError):
                self._repair()
            self._closed = True
            close(self._newest)
            self._newest = -1
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

    # Segments

    def _open_newest(self) -> int:
        """Return a descriptor of the newest segment to append by, -1 when there is none."""
        if not self._segments:
            return -1
        return os.open(self._segments[-1].path, os.O_RDWR | os.O_CLOEXEC)

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
        self._repair()
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

    def _write(self, data: bytes) -> None:
        """Put bytes behind the newest segment's end, durably; on failure they do not count."""
        self._torn = True
        write_all(self._newest, data, self._segments[-1].size)
        if self._sync:
            os.fdatasync(self._newest)
            self._sync_folder()
        self._torn = False

    def _repair(self) -> None:
        """Remove what a failed append may have left."""
        if self._closed:
            raise OSError(errno.EBADF, "it is closed")
        if self._torn and self._segments:
            os.ftruncate(self._newest, self._segments[-1].size)
            self._torn = False

    def _start_segment(self) -> None:
        """Make a segment for the next record. It appears under its name only when complete."""
        first = self._last + 1
        path, aside = self._folder / name_of(first), self._folder / "next"
        preamble = encode_preamble(self.identity, first, self._last_header)
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, preamble, 0)
            if self._sync:
                os.fdatasync(descriptor)
            aside.rename(path)
        except OSError:
            close(descriptor)
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        before, self._newest, self._folder_synced = self._newest, descriptor, False
        self._segments.append(Segment(path, first, len(preamble)))
        close(before)

    def _sync_folder(self) -> None:
        if not self._folder_synced:
            sync_folder(self._folder)
            self._folder_synced = True

    def _delete_done(self) -> None:
        """Delete the segments whose records are all acknowledged, but never the newest one."""
        done = [item for item in self._segments[:-1] if item.last <= self._acknowledged]
        if done and self._sync:
            self._marks.sync()
            self._sync_folder()
        for segment in done:
            segment.path.unlink(missing_ok=True)
            self._segments.remove(segment)

    def _drop(self, segment: Segment) -> Dropped:
        """Give up what is unread in the oldest segment that has such records."""
        if segment is self._segments[-1]:
            self._repair()
            self._start_segment()
        begin = bisect.bisect_right(segment.numbers, self._acknowledged)
        dropped = Dropped(
            len(segment.numbers) - begin,
            segment.numbers[begin],
            segment.last,
            segment.size - segment.offsets[begin],
        )
        self._acknowledged = segment.last
        self._delete_done()  # before anything is written: the disk may be full
        self._marks.write(self._acknowledged)
        return dropped

    # Records

    def _locate(self, after: int) -> _Place | None:
        """Return where the first unacknowledged record behind `after` is."""
        with self._lock:
            after = max(after, self._acknowledged)
            for segment in self._segments:
                if segment.numbers and segment.last > after:
                    index = bisect.bisect_right(segment.numbers, after)
                    ends = (*segment.offsets[index + 1 : index + 2], segment.size)
                    return _Place(segment, segment.numbers[index], segment.offsets[index], ends[0])
            return None

    def _read_at(self, descriptor: int, place: _Place) -> Record | None:
        """Return a record, or None when it is gone or was found damaged."""
        if descriptor < 0:
            return None  # acknowledged or dropped by another thread just now
        data = read_all(descriptor, place.end - place.start, place.start)
        record = decode_record(data)
        if record is None or record.number != place.number:
            with self._lock:
                damage = set_aside(place.segment.path, Gap(place.start, place.end), data)
                if damage not in self._damage:
                    self._damage.append(damage)
            return None
        return record

    @contextlib.contextmanager
    def _disk(self, action: str) -> Iterator[None]:
        """Tell the disk's errors as JournalUnavailable."""
        try:
            yield
        except OSError as error:
            raise JournalUnavailable(
                f"cannot {action} the journal {self._folder}: {error.strerror or error}"
            ) from error


class _Place(NamedTuple):
    """Where a record is: the bytes from `start` to at most `end` of a segment."""

    segment: Segment
    number: int
    start: int
    end: int


def _unread(segment: Segment, acknowledged: int) -> int:
    return len(segment.numbers) - bisect.bisect_right(segment.numbers, acknowledged)
