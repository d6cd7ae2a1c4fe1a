"""Which file is which, however it is renamed, copied, truncated or packed; and how far it is read.

A file is known by its inode while the beginning that was read and the bytes before the place that
was reached are still the same. No policy here: `deodar.siem.connectors.file` has that.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEAD = 256
"""Bytes of a file's beginning, and of what is before the place reached, that it is known by."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """How far a file is read: `offset` bytes, of the unpacked content if it is packed.

    `head` is the digest of its first `head_size` bytes, `before` that of up to 256 bytes before
    the offset (of nothing in a packed file, which does not change). `passing` is set in the midst
    of a line that is too long; `gone` is when the file was found gone, in seconds since the epoch
    (0: it is not).
    """

    path: str
    device: int
    inode: int
    offset: int = 0
    head_size: int = 0
    head: str = ""
    before: str = ""
    packed: bool = False
    passing: bool = False
    gone: int = 0

    @property
    def id(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode


class Reader:
    """An open file, plain or packed by gzip, read at offsets that only grow."""

    def __init__(self, path: Path) -> None:
        """Open it; raises OSError."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        self.packed = path.suffix == ".gz"
        self._stream: gzip.GzipFile | None = None
        if self.packed:
            self._stream = gzip.GzipFile(fileobj=os.fdopen(os.dup(self._descriptor), "rb"))

    @property
    def status(self) -> os.stat_result:
        """What the system knows of it."""
        return os.fstat(self._descriptor)

    def read(self, size: int, offset: int) -> bytes:
        """Return up to `size` bytes from `offset`, fewer only at its end for now.

        Raises OSError, also for a packed file that is damaged.
        """
        if self._stream is None:
            return os.pread(self._descriptor, size, offset)
        try:
            self._stream.seek(offset)
            return self._stream.read(size)
        except (EOFError, zlib.error) as error:
            raise OSError(f"the packed file is damaged: {error}") from error

    def close(self) -> None:
        """Let go of it."""
        if self._stream is not None:
            self._stream.close()
        os.close(self._descriptor)


def is_same(reader: Reader, place: Place) -> bool:
    """Whether a file holds, up to the place, what was read under that place.

    Raises OSError.
    """
    if not reader.packed and reader.status.st_size < place.offset:
        return False
    if digest(reader.read(place.head_size, 0)) != place.head:
        return False
    if place.packed:
        return True
    size = min(HEAD, place.offset)
    return digest(reader.read(size, place.offset - size)) == place.before


def matches(reader: Reader, places: Iterable[Place]) -> list[Place]:
    """Return the places up to which a file holds what was read under them.

    Only places behind something that was read count. Raises OSError.
    """
    found: list[Place] = []
    heads: dict[int, str] = {}
    for place in places:
        if not place.offset:
            continue
        if place.head_size not in heads:
            heads[place.head_size] = digest(reader.read(place.head_size, 0))
        if heads[place.head_size] == place.head and is_same(reader, place):
            found.append(place)
    return found


def moved(reader: Reader, place: Place, offset: int) -> Place:
    """Return the place at another offset; raises OSError."""
    size = min(HEAD, offset)
    head_size = max(place.head_size, size)
    head = place.head if head_size == place.head_size else digest(reader.read(head_size, 0))
    before = NOTHING if reader.packed else digest(reader.read(size, offset - size))
    return msgspec.structs.replace(
        place, offset=offset, head_size=head_size, head=head, before=before
    )


def beginning(path: str, reader: Reader) -> Place:
    """Return the place at the beginning of a file."""
    status = reader.status
    return Place(
        path, status.st_dev, status.st_ino, head=NOTHING, before=NOTHING, packed=reader.packed
    )


def digest(data: bytes) -> str:
    """Return what a stretch of bytes is known by."""
    return hashlib.blake2b(data, digest_size=9).hexdigest()


NOTHING = digest(b"")
