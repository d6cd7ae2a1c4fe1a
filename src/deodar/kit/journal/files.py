"""The small files beside a journal's segments, and whole reads and writes of any of them.

``acknowledged`` has two slots of 512 bytes, written in turn: u64 number and u32 CRC-32 of it,
little-endian. The higher good one counts. It is not forced to disk at each acknowledgement: a power
cut may bring back records that were acknowledged last, never skip one that was not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import uuid
import zlib
from typing import IO, TYPE_CHECKING

from deodar.kit.directory import sync_folder
from deodar.kit.journal.errors import JournalUnavailable
from deodar.kit.journal.segments import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NEXT = "next"
"""The segment that is being begun, until it is complete."""
REPLACEMENT = "replacement"
"""The new content of a segment, until it takes the segment's place."""
LEFTOVERS = (NEXT, REPLACEMENT, "identity.new")
_SLOT = 512  # bytes: a sector, which a disk writes as a whole
_MARK = struct.Struct("<QI")


class Marks:
    """The file of the last acknowledged number: two slots, written in turn."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._slot = 0
        if os.fstat(self._descriptor).st_size < 2 * _SLOT:
            # All of it exists from the start, so that marks can be written on a full disk.
            missing = 2 * _SLOT - os.fstat(self._descriptor).st_size
            write_all(self._descriptor, bytes(missing), 2 * _SLOT - missing)

    def read(self) -> int:
        """Return the higher number of the slots that are whole, 0 when none is."""
        best = 0
        for slot in (0, 1):
            data = os.pread(self._descriptor, _MARK.size, slot * _SLOT)
            if len(data) == _MARK.size:
                number, check = _MARK.unpack(data)
                if check == zlib.crc32(data[:8]) and number >= best:
                    best, self._slot = number, 1 - slot
        return best

    def write(self, number: int) -> None:
        """Write into the slot that does not hold the last number."""
        data = struct.pack("<Q", number)
        slot, self._slot = self._slot, 1 - self._slot
        write_all(self._descriptor, data + struct.pack("<I", zlib.crc32(data)), slot * _SLOT)

    def sync(self) -> None:
        """Force the file to disk."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        close(self._descriptor)
        self._descriptor = -1


def hold(folder: Path) -> IO[bytes]:
    """Return the open lock file; raises JournalUnavailable when another process has it."""
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise JournalUnavailable(f"another process has the journal {folder} open") from error
    return file


def remove_leftovers(folder: Path) -> None:
    """Remove files that a crash left half made. Raises OSError."""
    for name in LEFTOVERS:
        (folder / name).unlink(missing_ok=True)


def segment_files(folder: Path) -> list[tuple[int, Path]]:
    """Return (first number, path) of the segments, oldest first."""
    names = [path for path in folder.iterdir() if path.suffix == SUFFIX and path.stem.isdecimal()]
    return sorted((int(path.stem), path) for path in names)


def identity(folder: Path, known: Sequence[str]) -> str:
    """Return the journal's identity: its file's, else the last one known from its segments.

    If there is neither, this is a new journal, and it gets one. Raises OSError.
    """
    path = folder / "identity"
    try:
        return str(uuid.UUID(path.read_text("ascii").strip()))
    except (FileNotFoundError, ValueError):
        text = known[-1] if known else str(uuid.uuid4())
    aside = path.with_suffix(".new")
    with aside.open("w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    sync_folder(folder)
    return text


def open_existing(path: Path) -> int:
    """Return a descriptor to read from, -1 when the file is gone."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def read_all(descriptor: int, size: int, offset: int) -> bytes:
    """Return `size` bytes from `offset`, fewer only at the end of the file."""
    parts: list[bytes] = []
    while size > 0 and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`; raises OSError, after which some may be there."""
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count


def close(descriptor: int) -> None:
    """Close a descriptor; -1 stands for none."""
    if descriptor >= 0:
        os.close(descriptor)


@contextlib.contextmanager
def telling(folder: Path, action: str) -> Iterator[None]:
    """Tell the disk's errors as JournalUnavailable, with what could not be done."""
    try:
        yield
    except OSError as error:
        raise JournalUnavailable(
            f"cannot {action} the journal {folder}: {error.strerror or error}"
        ) from error
