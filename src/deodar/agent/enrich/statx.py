"""When a file was made: the one time that `os.stat` of Python 3.11 does not show on Linux.

Layout of struct statx and its numbers from the kernel's uapi header linux/stat.h.
"""

from __future__ import annotations

import ctypes
import struct

AT_EMPTY_PATH = 0x1000
STATX_BTIME = 0x800
_SIZE = 256
_MASK = struct.Struct("=I")
_BIRTH = struct.Struct("=qI")
_BIRTH_OFFSET = 80

_libc = ctypes.CDLL(None, use_errno=True)
_statx = getattr(_libc, "statx", None)


def birth_time_ns(descriptor: int) -> int | None:
    """Return the time of birth of an open file in ns since the epoch; None if it is not kept."""
    if _statx is None:
        return None
    buffer = ctypes.create_string_buffer(_SIZE)
    if _statx(descriptor, b"", AT_EMPTY_PATH, STATX_BTIME, buffer) != 0:
        return None
    if not _MASK.unpack_from(buffer)[0] & STATX_BTIME:
        return None
    seconds, nanoseconds = _BIRTH.unpack_from(buffer, _BIRTH_OFFSET)
    born = int(seconds) * 1_000_000_000 + int(nanoseconds)
    return born if born > 0 else None
