"""Opens a file as a process sees it: in that process's root, whatever links lead out of it.

A link in a container may name an absolute path; it is meant in the container, and openat2(2) keeps
it there. Nothing but regular files is opened, and opening never waits (for the writer of a FIFO).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBERS = {"x86_64": 437, "aarch64": 437}
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_HOW = struct.Struct("=QQQ")  # struct open_how: flags, mode, resolve
_libc = ctypes.CDLL(None, use_errno=True)


def open_as_seen(path: bytes, pids: Iterable[int]) -> int | None:
    """Return a descriptor of a regular file that an absolute path means to a process.

    The first of `pids` that still has a root counts; when none has, the path is taken as it is.
    Returns None when there is no such file. The caller closes it.
    """
    for pid in pids:
        try:
            root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            return _regular(_open_in(root, path))
        except OSError:
            return None
        finally:
            os.close(root)
    try:
        return _regular(os.open(path, FLAGS))
    except (OSError, ValueError):
        return None


def open_standard_input(pid: int) -> int | None:
    """Return a descriptor of the regular file that is a process's standard input; None if none."""
    link = f"/proc/{pid}/fd/0"
    try:
        return _regular(os.open(link, FLAGS)) if Path(link).is_file() else None
    except OSError:
        return None


def _open_in(root: int, path: bytes) -> int:
    number = NUMBERS.get(platform.machine())
    how = ctypes.create_string_buffer(
        _HOW.pack(FLAGS, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), _HOW.size
    )
    if number is None or b"\0" in path:
        raise OSError(errno.ENOSYS, "openat2 is not known here")
    found: int = _libc.syscall(number, root, path, ctypes.byref(how), _HOW.size)
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return found


def _regular(descriptor: int) -> int | None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None
