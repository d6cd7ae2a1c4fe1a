"""Follows a journal file of systemd without its library: what is appended, entry by entry.

Layout as in systemd's "Journal File Format": a header, then objects in a row, of which entries
name their fields by where these are in the file. A long field is compressed and left out here; what
is read is short.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_SIGNATURE = b"LPKSHHRH"
_HEAD_BYTES = 240
_OBJECT = struct.Struct("<BB6xQ")
_ENTRY_ITEMS = 64
"""Where the items of an entry begin; 24 bytes into it is its wall clock time in µs."""
_DATA, _ENTRY = 1, 3
_COMPACT = 1 << 4
_COMPRESSED = 0b111
READ_BYTES = 1 << 20
"""So much is read at once, and at most that much of one object."""
MOST_FIELDS = 256
LONGEST_FIELD = 8192
MOST_CACHED = 4096

Entry = dict[str, str]
"""The wanted fields of one entry; the time, in µs since the epoch, is under TIME."""
TIME = "__REALTIME_TIMESTAMP"


class JournalError(ValueError):
    """The file is something else, or damaged."""


class JournalFile:
    """One open file; yields what is appended after it was opened."""

    def __init__(self, path: Path, wanted: Collection[str], *, from_start: bool = False) -> None:
        """`wanted` are names of fields. Raises OSError and JournalError."""
        self.path = path
        self._wanted = tuple(f"{name}=".encode() for name in wanted)
        self._fields: dict[int, tuple[str, str] | None] = {}
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(self._file)
            self.key = (status.st_dev, status.st_ino)
            self._begin(from_start=from_start)
        except (OSError, JournalError):
            os.close(self._file)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def read(self) -> Iterator[Entry]:
        """Yield the entries that are new; raises JournalError when the file makes no sense."""
        tail, entries = self._state()
        while self._entries < entries and self._at <= tail:
            kind, _, size = self._object(self._at)
            if kind == _ENTRY:
                yield self._entry(self._at, size)
                self._entries += 1
            self._at += (size + 7) // 8 * 8

    def _begin(self, *, from_start: bool) -> None:
        head = os.pread(self._file, _HEAD_BYTES, 0)
        if len(head) < _HEAD_BYTES or not head.startswith(_SIGNATURE):
            raise JournalError(f"{self.path} is no journal file")
        self._compact = bool(struct.unpack_from("<I", head, 12)[0] & _COMPACT)
        (self._at,) = struct.unpack_from("<Q", head, 88)
        self._entries = 0
        if not from_start:
            tail, self._entries = self._state()
            self._at = tail
            kind, _, size = self._object(tail)
            # An entry that is being written just now counts only when it is complete.
            if kind != _ENTRY or self._state() == (tail, self._entries):
                self._at += (size + 7) // 8 * 8

    def _state(self) -> tuple[int, int]:
        """Return where the last object is, and how many entries are complete."""
        tail, _, entries = struct.unpack("<QQQ", os.pread(self._file, 24, 136))
        return tail, entries

    def _object(self, at: int) -> tuple[int, int, int]:
        """Return type, flags and size of an object."""
        raw = os.pread(self._file, _OBJECT.size, at)
        if len(raw) < _OBJECT.size:
            raise JournalError(f"{self.path} ends within an object at {at}")
        kind, flags, size = _OBJECT.unpack(raw)
        if size < _OBJECT.size:
            raise JournalError(f"{self.path} has an object of {size} bytes at {at}")
        return kind, flags, size

    def _entry(self, at: int, size: int) -> Entry:
        raw = os.pread(self._file, min(size, READ_BYTES), at)
        entry = {TIME: str(struct.unpack_from("<Q", raw, 24)[0])}
        step, form = (4, "<I") if self._compact else (16, "<Q")
        for place in range(_ENTRY_ITEMS, len(raw) - step + 1, step)[:MOST_FIELDS]:
            field = self._field(struct.unpack_from(form, raw, place)[0])
            if field is not None:
                entry[field[0]] = field[1]
        return entry

    def _field(self, at: int) -> tuple[str, str] | None:
        """Return name and value of a field; None for one that nobody wants."""
        if at not in self._fields:
            if len(self._fields) >= MOST_CACHED:
                self._fields.clear()
            self._fields[at] = self._read_field(at)
        return self._fields[at]

    def _read_field(self, at: int) -> tuple[str, str] | None:
        kind, flags, size = self._object(at)
        start = 72 if self._compact else 64
        if kind != _DATA or flags & _COMPRESSED or not start < size <= LONGEST_FIELD:
            return None
        raw = os.pread(self._file, size - start, at + start)
        if not raw.startswith(self._wanted):
            return None
        name, _, value = raw.partition(b"=")
        return name.decode(), value.decode("utf-8", "backslashreplace")
