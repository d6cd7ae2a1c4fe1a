"""The file format of a journal's segments: writing, checking and salvaging them.

A segment is one file, named by the number of its first record: twenty digits and ``.segment``.
All integers are little-endian.

Preamble::

    8 bytes   magic "DEODARJ" and a line feed
    u16       version of the format: 1
    u16       zero
    u32       length of H
    u64       number of the first record
    16 bytes  the journal's identity (UUID)
    H         header of the record before this segment (empty if there was none)
    u32       CRC-32 of all the above

Then records, each::

    4 bytes   magic D7 "DJR"
    u32       length of header and body together
    u32       length of the header alone
    u64       number, rising, gaps allowed
    u32       CRC-32 of length, header length, number, header and body
    header, body

CRC-32 is zlib's. What fails a check is skipped: the next record is found by its magic and a CRC
that fits. Bytes without any good record behind them are the segment's tail.
"""

from __future__ import annotations

import bisect
import struct
import uuid
import zlib
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Fold = Callable[[Any, bytes], Any]
    """Makes a segment's next digest of the present one (None at first) and a record's header."""

SUFFIX = ".segment"
RECORD_LIMIT = 1 << 30  # bytes of one record's header and body together
_MAGIC = b"DEODARJ\n"
_VERSION = 1
_PREAMBLE = struct.Struct("<8sHHIQ16s")
_CRC = struct.Struct("<I")
_RECORD_MAGIC = b"\xd7DJR"  # no UTF-8 text has these bytes, so no JSON body has them
_RECORD = struct.Struct("<4sIIQI")
_CHECKED = struct.Struct("<IIQ")  # of the record's head, what the CRC covers
RECORD_OVERHEAD = _RECORD.size
PREAMBLE_OVERHEAD = _PREAMBLE.size + _CRC.size


class Record(NamedTuple):
    """One record as it was appended."""

    number: int
    header: bytes
    body: bytes


class Gap(NamedTuple):
    """Bytes of a segment that hold no readable record."""

    start: int
    end: int


@dataclass
class Segment:
    """What is known of one segment file: where its good records are."""

    path: Path
    first: int
    size: int = 0  # bytes of the file that count, up to the end of the last good record
    numbers: array[int] = field(default_factory=lambda: array("Q"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    digest: Any = None  # what the journal's owner wants to know of it: folded from the headers

    @property
    def last(self) -> int:
        """The number of the last record; below `first` when there is none."""
        return self.numbers[-1] if self.numbers else self.first - 1

    def add(self, number: int, offset: int) -> None:
        """Note a record."""
        self.numbers.append(number)
        self.offsets.append(offset)

    def unread(self, acknowledged: int) -> int:
        """Return how many records are behind the number `acknowledged`."""
        return len(self.numbers) - bisect.bisect_right(self.numbers, acknowledged)

    def place_of(self, index: int) -> tuple[int, int]:
        """Return where the record at `index` begins and where it ends at the latest."""
        ends = (*self.offsets[index + 1 : index + 2], self.size)
        return self.offsets[index], ends[0]


@dataclass(frozen=True)
class Scan:
    """A segment's content as found on disk."""

    segment: Segment
    identity: str | None  # None when the preamble is damaged
    last_header: bytes | None  # of the last record, else the preamble's; None if neither is good
    gaps: tuple[Gap, ...]  # damage with good records behind it
    tail: Gap  # from the last good byte to the end of the file


def name_of(first: int) -> str:
    """Return the file name of the segment that begins with this record number."""
    return f"{first:020d}{SUFFIX}"


def encode_preamble(identity: str, first: int, previous_header: bytes) -> bytes:
    """Return the bytes that a segment begins with."""
    head = _PREAMBLE.pack(
        _MAGIC, _VERSION, 0, len(previous_header), first, uuid.UUID(identity).bytes
    )
    text = head + previous_header
    return text + _CRC.pack(zlib.crc32(text))


def encode_record(number: int, header: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    """Return a record's bytes in three parts, so that a large body is not copied."""
    length = len(header) + len(body)
    check = zlib.crc32(_CHECKED.pack(length, len(header), number))
    check = zlib.crc32(body, zlib.crc32(header, check))
    return _RECORD.pack(_RECORD_MAGIC, length, len(header), number, check), header, body


def record_size(data: bytes | memoryview, offset: int) -> int | None:
    """Return how many bytes the record at `offset` says to take, None if none begins there."""
    if len(data) - offset < _RECORD.size:
        return None
    magic, length, header_length, _, _ = _RECORD.unpack_from(data, offset)
    if magic != _RECORD_MAGIC or header_length > length or length > RECORD_LIMIT:
        return None
    return _RECORD.size + int(length)


def decode_record(data: bytes | memoryview, offset: int = 0) -> Record | None:
    """Return the record at `offset`, or None when no good one begins there."""
    size = record_size(data, offset)
    if size is None or len(data) - offset < size:
        return None
    _, length, header_length, number, check = _RECORD.unpack_from(data, offset)
    content = memoryview(data)[offset + _RECORD.size : offset + size]
    if zlib.crc32(content, zlib.crc32(_CHECKED.pack(length, header_length, number))) != check:
        return None
    return Record(number, bytes(content[:header_length]), bytes(content[header_length:]))


def is_whole(data: bytes) -> bool:
    """Return whether a record that begins here claims no more bytes than there are.

    If so and it is not good, it was damaged later rather than torn while it was written.
    """
    size = record_size(data, 0)
    return size is not None and size <= len(data)


def scan(path: Path, first: int, fold: Fold | None = None) -> Scan:
    """Return what a segment file holds; `first` is the number in its name.

    Records whose number does not rise do not count. Raises OSError when it cannot be read.
    """
    data = path.read_bytes()
    identity, header, offset = _read_preamble(data, first)
    segment = Segment(path, first)
    gaps: list[Gap] = []
    good = offset
    while (found := _next_record(data, offset)) is not None:
        start, record = found
        end = start + RECORD_OVERHEAD + len(record.header) + len(record.body)
        if record.number > segment.last:
            if start > good:
                gaps.append(Gap(good, start))
            segment.add(record.number, start)
            header, good = record.header, end
            if fold is not None:
                segment.digest = fold(segment.digest, header)
        offset = end
    segment.size = good
    return Scan(segment, identity, header, tuple(gaps), Gap(good, len(data)))


def previous_header(path: Path, first: int) -> bytes:
    """Return the header of the record before a segment, b"" when its preamble is damaged.

    Raises OSError.
    """
    with path.open("rb") as file:
        head = file.read(_PREAMBLE.size)
        length = _PREAMBLE.unpack(head)[3] if len(head) == _PREAMBLE.size else 0
        rest = file.read(min(length, RECORD_LIMIT) + _CRC.size)
    return _read_preamble(head + rest, first)[1] or b""


def lost_in(data: bytes) -> int:
    """Return how many records a damaged stretch may have held, at least 1."""
    return max(1, data.count(_RECORD_MAGIC))


def _read_preamble(data: bytes, first: int) -> tuple[str | None, bytes | None, int]:
    """Return identity, previous header and where records begin; (None, None, 0) if damaged."""
    damaged = (None, None, 0)
    if len(data) < _PREAMBLE.size + _CRC.size:
        return damaged
    magic, version, _, length, number, identity = _PREAMBLE.unpack_from(data)
    end = _PREAMBLE.size + length
    if magic != _MAGIC or version != _VERSION or number != first or len(data) < end + _CRC.size:
        return damaged
    if _CRC.unpack_from(data, end)[0] != zlib.crc32(memoryview(data)[:end]):
        return damaged
    return str(uuid.UUID(bytes=identity)), data[_PREAMBLE.size : end], end + _CRC.size


def _next_record(data: bytes, offset: int) -> tuple[int, Record] | None:
    """Return the first good record at or behind `offset`, with where it begins."""
    while (offset := data.find(_RECORD_MAGIC, offset)) >= 0:
        record = decode_record(data, offset)
        if record is not None:
            return offset, record
        offset += 1
    return None
