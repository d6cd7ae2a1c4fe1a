"""inotify(7) by the C library: which names in some folders were written, made, moved or deleted."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
UNMOUNTED, OVERFLOW, IGNORED = 0x2000, 0x4000, 0x8000
ONLY_FOLDERS = 0x01000000
CHANGES = (
    MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE
    | DELETE_SELF | MOVE_SELF | ONLY_FOLDERS
)  # fmt: skip
_BUFFER = 64 * 1024
_HEAD = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Change(NamedTuple):
    """Something happened to a name in a watched folder."""

    watch: int
    """Number of the watch; -1 when changes were lost because there were too many."""
    mask: int
    name: bytes
    """Empty when it happened to the folder itself."""


class Inotify:
    """One queue of changes. For one thread."""

    def __init__(self) -> None:
        """Raises OSError when the kernel gives no more of them."""
        self._descriptor = _checked(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))

    def fileno(self) -> int:
        """Return the descriptor, readable when there is a change."""
        return self._descriptor

    def add(self, path: str) -> int:
        """Watch a folder; returns the number of the watch, the same one for the same folder.

        Raises OSError: the folder is not there, or the kernel's limit of watches is reached.
        """
        return _checked(_libc.inotify_add_watch(self._descriptor, os.fsencode(path), CHANGES))

    def remove(self, watch: int) -> None:
        """Watch a folder no more; does nothing if the folder is gone."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def read(self) -> Iterator[Change]:
        """Yield what has happened since the last time, without waiting."""
        while True:
            try:
                data = os.read(self._descriptor, _BUFFER)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, mask, _cookie, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                yield Change(watch, mask, data[at : at + length].rstrip(b"\0"))
                at += length

    def close(self) -> None:
        """Give the descriptor back."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno() or errno.EIO
        raise OSError(code, os.strerror(code))
    return result
