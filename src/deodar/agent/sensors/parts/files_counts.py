"""Changes of files that the programs only counted: taken out about once a second.

The programs add to one of two generations of counts. To take them, the other one is made the
current one, then all programs that may still use the old one are waited for, then it is read and
emptied: no change is missing, and none is told twice.
"""

from __future__ import annotations

import ctypes
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from deodar.agent.sensors import syscall
from deodar.agent.sensors.acts import FileOperation, FileRepeats
from deodar.agent.sensors.base import ProcessKey

if TYPE_CHECKING:
    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.loader import Loaded

MOST = 8192
"""Of entries: more than the map has room for."""
OWNER = struct.Struct("<QII")
REPEATS = struct.Struct("<8Q QQ II 128s")
GENERATION_AT = 24
"""Where the generation is in struct policy."""
POLICY_BYTES = 32
MEMBARRIER = 324
"""Number of membarrier(2) on x86-64; its command 1 waits for all RCU read sections."""
LONG_ENOUGH = 0.05
"""Seconds to wait where the kernel refuses membarrier (with nohz_full): a program takes µs."""
_ZERO = bytes(4)
_libc = ctypes.CDLL(None, use_errno=True)


def prepare(loaded: Loaded) -> None:
    """Make room for what is counted under no process's name; raises OSError."""
    for generation in (0, 1):
        syscall.update(loaded.maps["counted"], OWNER.pack(0, 0, generation), bytes(REPEATS.size))


def collect(loaded: Loaded, offset: int) -> list[Record]:
    """Return what was counted since the last call; `offset` takes boot time to wall clock."""
    counted = loaded.maps["counted"]
    if len(syscall.keys(counted, OWNER.size, 3)) == 2 and not any(_nobody(counted)):
        return []
    old = _turn(loaded.maps["policy"])
    _wait_for_programs()
    found: list[Record] = []
    for key in syscall.keys(counted, OWNER.size, MOST):
        start, pid, generation = OWNER.unpack(key)
        if generation != old:
            continue
        with suppress(FileNotFoundError):  # a key may be named twice
            taken = REPEATS.unpack(syscall.take(counted, key, REPEATS.size))
            found += _repeats(taken, ProcessKey(pid, start), offset)
        if not pid:
            syscall.update(counted, key, bytes(REPEATS.size))
    return found


def _nobody(counted: int) -> list[int]:
    return [
        number
        for generation in (0, 1)
        for number in REPEATS.unpack(
            syscall.lookup(counted, OWNER.pack(0, 0, generation), REPEATS.size)
        )[:8]
    ]


def _turn(policy: int) -> int:
    """Let the programs count in the other generation; returns the one that they used."""
    value = bytearray(syscall.lookup(policy, _ZERO, POLICY_BYTES))
    (old,) = struct.unpack_from("<I", value, GENERATION_AT)
    struct.pack_into("<I", value, GENERATION_AT, 1 - old)
    syscall.update(policy, _ZERO, bytes(value))
    return int(old)


def _wait_for_programs() -> None:
    if _libc.syscall(MEMBARRIER, 1, 0, 0):
        time.sleep(LONG_ENOUGH)


def _repeats(values: tuple[Any, ...], owner: ProcessKey, offset: int) -> list[Record]:
    counts = {operation: values[operation] for operation in FileOperation if values[operation]}
    if not counts:
        return []
    first, last, path_bytes, path = values[8], values[9], values[10], values[12]
    return [FileRepeats(last + offset, owner, first + offset, counts, path[:path_bytes])]
