"""Events into a file, a line each, with rotation by size and time.

The file in use has the name of the settings; a full or old one gets its time and a number into its
name and is packed if asked. Each batch is on disk (fsync) before it counts as delivered; a line
that a crash left torn is cut off when the file is opened again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import zstandard

from deodar.kit.directory import sync_folder
from deodar.kit.logging import logger
from deodar.siem.destinations.base import Batch, CommonSettings, Destination, Kind
from deodar.siem.destinations.forms import Form, ndjson, render
from deodar.siem.errors import DestinationUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TAIL = 1 << 16
_log = logger("siem.destinations")


class FileSettings(CommonSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`path` is relative to the collector's folder. A file is rotated at `rotate_bytes` or after
    `rotate_seconds` (0: never for that cause); of the rotated ones the newest `keep` stay (0: all).
    """  # noqa: D205

    path: str
    form: Form = "json"
    rotate_bytes: Annotated[int, msgspec.Meta(ge=0)] = 256 << 20
    rotate_seconds: Annotated[float, msgspec.Meta(ge=0)] = 86_400.0
    keep: Annotated[int, msgspec.Meta(ge=0)] = 0
    compression: Literal["none", "zstd"] = "none"
    fsync: bool = True

    def problem(self) -> str:
        """Return what is wrong, or ""."""
        if not self.path or self.path.endswith("/"):
            return "path: give the name of a file"
        return super().problem()


class FileDestination(Destination):
    """Appends to one file; the work is done in a thread, one batch at a time."""

    def __init__(self, settings: FileSettings, home: Path) -> None:
        self._settings = settings
        self._path = home / settings.path
        self._writing = threading.Lock()
        self._descriptor = -1
        self._begun = 0.0

    async def deliver(self, batch: Batch) -> int:
        """Append all events; raises DestinationUnavailable when the disk refuses."""
        return await asyncio.to_thread(self._deliver, batch)

    async def check(self) -> str:
        """Open the file and say how large it is."""
        size = await asyncio.to_thread(self._check)
        return f"{self._path}: {size:,} bytes so far"

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._close)

    def _deliver(self, batch: Batch) -> int:
        data = ndjson(render(self._settings.form, batch.events))
        with self._writing, _telling(self._path):
            self._open()
            size = os.fstat(self._descriptor).st_size
            if size and self._is_due(size + len(data)):
                self._rotate()
                size = 0
            try:
                _write(self._descriptor, data)
            except OSError:
                os.ftruncate(self._descriptor, size)  # half a batch would be there twice
                raise
            if self._settings.fsync:
                os.fdatasync(self._descriptor)
        return len(data)

    def _check(self) -> int:
        with self._writing, _telling(self._path):
            self._open()
            return os.fstat(self._descriptor).st_size

    def _open(self) -> None:
        if self._descriptor >= 0 and _is_same(self._descriptor, self._path):
            return
        self._let_go()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o640)
        _cut_torn_line(self._descriptor)
        found = os.fstat(self._descriptor)
        self._begun = found.st_mtime if found.st_size else time.time()

    def _is_due(self, size: int) -> bool:
        wanted, limit = self._settings, self._settings.rotate_bytes
        if limit and size > limit:
            return True
        return bool(wanted.rotate_seconds and time.time() - self._begun >= wanted.rotate_seconds)

    def _rotate(self) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        done = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
        self._path.rename(done)
        self._let_go()
        if self._settings.compression == "zstd":
            _pack(done)
        self._forget_old()
        self._open()
        sync_folder(self._path.parent)

    def _forget_old(self) -> None:
        if not self._settings.keep:
            return
        pattern = f"{self._path.stem}-*{self._path.suffix}*"
        old = sorted(self._path.parent.glob(pattern))[: -self._settings.keep]
        for path in old:
            path.unlink(missing_ok=True)
            _log.info("an old file is removed, as `keep` says", path=str(path))

    def _close(self) -> None:
        with self._writing:
            self._let_go()

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DestinationUnavailable(f"cannot write {path}: {error.strerror or error}") from error


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether the path still leads to the open file: another program may have moved it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _cut_torn_line(descriptor: int) -> None:
    """Cut off what is behind the last line feed."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, end)


def _pack(path: Path) -> None:
    """Replace a file by its packed form, in one step."""
    aside = path.with_name(f".{path.name}.zst.new")
    try:
        with path.open("rb") as source, aside.open("wb") as target:
            zstandard.ZstdCompressor(level=3).copy_stream(source, target)
            target.flush()
            os.fsync(target.fileno())
        aside.rename(path.with_name(f"{path.name}.zst"))
    except OSError:
        aside.unlink(missing_ok=True)  # the file stays as it is, whole
        raise
    path.unlink()


KIND = Kind("file", "lines in a file, with rotation", FileSettings, FileDestination)
