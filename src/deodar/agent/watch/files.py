"""Small files below a root folder, read with bounds: other people's files, which may be anything.

Links are followed within the root, as the host or the container whose root it is follows them. A
file that did not change since the last look is not read again.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from deodar.agent.errors import UnusableFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

MOST_BYTES = 1 << 20
MOST_NAMES = 8192
"""Entries of a folder that are looked at."""
RACY_NS = 50_000_000
"""A file that is younger may be written once more without its times showing it."""
_OPENAT2 = 437
_IN_ROOT = 0x10
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_PLACE = os.O_PATH | os.O_CLOEXEC
"""Finds a file without opening it: to open a device may do something already."""
_libc = ctypes.CDLL(None, use_errno=True)


class Entry(NamedTuple):
    """A name in a folder."""

    name: str
    is_link: bool
    is_folder: bool


def plain(path: str) -> str:
    r"""Return a path that can be told: what is not UTF-8 shows as ``\xHH``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Files:
    """The files of one host or container. For one thread."""

    def __init__(self, root: str | Path = "/") -> None:
        """Raises OSError when there is no such folder."""
        self._root = -1 if str(root) == "/" else os.open(root, os.O_PATH | os.O_CLOEXEC)
        self._kept: dict[tuple[str, object], tuple[tuple[int, ...], Any]] = {}
        self._used: set[tuple[str, object]] = set()

    def close(self) -> None:
        """Give the root back."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def read(self, path: str, limit: int = MOST_BYTES) -> bytes | None:
        """Return a file's content; None when it is not there.

        Raises UnusableFile: it is larger than `limit`, no regular file, or may not be read.
        """
        try:
            with self.opened(path) as descriptor:
                return _content(descriptor, path, limit)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnusableFile(f"{path} cannot be read: {error.strerror}") from error

    def parsed(self, path: str, parse: Callable[[bytes], T], limit: int = MOST_BYTES) -> T | None:
        """Return what a file says; the file is read only if it changed. None if it is not there.

        Raises UnusableFile. `parse` is a function of a module, the same one each time.
        """
        key = (path, parse)
        try:
            with self.opened(path) as descriptor:
                status = os.fstat(descriptor)
                stamp = _stamp(status)
                kept = self._kept.get(key)
                if kept is None or kept[0] != stamp:
                    kept = (stamp, parse(_content(descriptor, path, limit)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnusableFile(f"{path} cannot be read: {error.strerror}") from error
        self._used.add(key)
        if time.time_ns() - status.st_ctime_ns > RACY_NS:
            self._kept[key] = kept
        return cast("T", kept[1])

    def forget(self) -> None:
        """Forget what was not asked for since the last time this was called."""
        self._kept = {key: value for key, value in self._kept.items() if key in self._used}
        self._used = set()

    def identity(self, path: str) -> tuple[int, int] | None:
        """Return device and inode number of what is at a path, a link's own; None if nothing is."""
        folder, name = os.path.split(path)
        with suppress(OSError), self.opened(folder, _FOLDER) as descriptor:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            return status.st_dev, status.st_ino
        return None

    def target(self, path: str) -> str | None:
        """Return what a link says; None when there is none."""
        folder, name = os.path.split(path)
        with suppress(OSError), self.opened(folder, _FOLDER) as descriptor:
            return os.readlink(name, dir_fd=descriptor)
        return None

    def names(self, folder: str) -> list[Entry]:
        """Return what is in a folder, sorted; nothing when it is not there or has too much.

        Raises UnusableFile when it has more than `MOST_NAMES` entries.
        """
        found = []
        with (
            suppress(OSError),
            self.opened(folder, _FOLDER) as descriptor,
            os.scandir(descriptor) as entries,
        ):
            for entry in entries:
                is_link, is_folder = entry.is_symlink(), entry.is_dir(follow_symlinks=False)
                found.append(Entry(entry.name, is_link, is_folder))
                if len(found) > MOST_NAMES:
                    raise UnusableFile(f"{folder} has more than {MOST_NAMES} entries")
        return sorted(found)

    @contextmanager
    def opened(self, path: str, flags: int = _PLACE) -> Iterator[int]:
        """Give a descriptor for a path below the root; raises OSError when it cannot be had."""
        if self._root < 0:
            descriptor = os.open(path, flags)
        else:
            descriptor = _open_within(self._root, path, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _open_within(root: int, path: str, flags: int) -> int:
    """Open a path as the processes see it whose root folder this is, by openat2(2)."""
    how = ctypes.create_string_buffer(struct.pack("=QQQ", flags, 0, _IN_ROOT), 24)
    descriptor: int = _libc.syscall(_OPENAT2, root, os.fsencode(path), how, 24)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return descriptor


def _content(place: int, path: str, limit: int) -> bytes:
    if not stat.S_ISREG(os.fstat(place).st_mode):
        raise UnusableFile(f"{path} is no regular file")
    with open(f"/proc/self/fd/{place}", "rb", opener=_open_again) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UnusableFile(f"{path} is larger than {limit} bytes")
    return content


def _open_again(path: str, _flags: int) -> int:
    return os.open(path, _READ)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
