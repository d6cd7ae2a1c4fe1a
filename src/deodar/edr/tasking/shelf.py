"""Where the bytes of files are kept, by name, and written part by part: a folder of the server.

Servers that share a log keep them in their database (`deodar.edr.nodes.files`), for each of them to
find.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from deodar.kit.directory import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = 1 << 20


class Kept(NamedTuple):
    """What is known of some bytes: their name, how many, and their age in seconds."""

    name: str
    size: int
    age: float


class Shelf(Protocol):
    """Keeps bytes durably; synchronous, safe to use from several threads for several names."""

    def list(self) -> list[Kept]:
        """Return what is there."""

    def size(self, name: str) -> int | None:
        """Return how many bytes are there under a name, None when there is nothing."""

    def put(self, name: str, offset: int, data: bytes) -> None:
        """Write a part behind `offset` bytes; with 0, in the place of all there was.

        Raises OSError, ControlDataError.
        """

    def rename(self, name: str, new: str) -> None:
        """Call bytes otherwise, in the place of what was called so."""

    def remove(self, name: str) -> None:
        """Delete bytes, if they are there."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield bytes piece by piece."""


class FolderShelf:
    """Files in a folder, which is made when it is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)

    def list(self) -> list[Kept]:
        """Return what is there."""
        now = time.time()
        found = [(path.name, _stat(path)) for path in self._folder.iterdir()]
        return [Kept(name, stat.st_size, now - stat.st_mtime) for name, stat in found]

    def size(self, name: str) -> int | None:
        """Return how many bytes are there under a name, None when there is nothing."""
        path = self._folder / name
        return path.stat().st_size if path.is_file() else None

    def put(self, name: str, offset: int, data: bytes) -> None:
        """Write a part; after an error there is no more of it than before."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if offset else os.O_TRUNC)
        descriptor = os.open(self._folder / name, flags, 0o600)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], offset + written)
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, offset)
            raise
        finally:
            os.close(descriptor)

    def rename(self, name: str, new: str) -> None:
        """Call a file otherwise."""
        (self._folder / name).rename(self._folder / new)
        sync_folder(self._folder)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self._folder / name).unlink(missing_ok=True)

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes piece by piece."""
        with (self._folder / name).open("rb") as opened:
            while block := opened.read(_BLOCK):
                yield block


def _stat(path: Path) -> os.stat_result:
    """Return what is known of a file; of one that a command has just deleted, nothing but zeros."""
    try:
        return path.stat()
    except FileNotFoundError:
        return os.stat_result([0] * 10)
