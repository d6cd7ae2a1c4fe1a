"""What the programs of the part `calls` have added up and nobody told of since.

The structures are those of bpf/repeats.h (what is added up), bpf/access.h (`reach`) and bpf/memfd.h
(`memory_file`).
"""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from deodar.agent.sensors import syscall
from deodar.agent.sensors.acts import MemoryFile
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.parts.calls_reach import PTRACE_WAYS, access, memory_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.loader import Loaded

REACH = struct.Struct("<QQ4I")
REPEATS = struct.Struct("<4Q")
MEMORY_FILE = struct.Struct("<QQII")
MEMORY_FILES = struct.Struct("<4Q64s")
MOST_REACHED, MOST_MEMORY_FILES = 4096, 1024
"""As many as the maps hold."""
LONG_NS, SHORT_NS = 60 * 10**9, 10**9
"""How long the programs add up before they tell again: LONG_SECONDS and SHORT_SECONDS."""


def overdue(loaded: Loaded, offset: int) -> list[Record]:
    """Return what was added up and is over, and make room for others.

    `offset` takes boot time to wall clock, in ns.
    """
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return [*_reached(loaded, now, offset), *_memory_files(loaded, now, offset)]


def _reached(loaded: Loaded, now: int, offset: int) -> Iterator[Record]:
    reached = loaded.maps["reached"]
    for key in syscall.keys(reached, REACH.size, MOST_REACHED):
        source_start, target_start, source, target, way, _ = REACH.unpack(key)
        patience = LONG_NS if way in PTRACE_WAYS else SHORT_NS
        value = _take(reached, key, REPEATS.size, now - patience)
        if value is None:
            continue
        _, last, size, calls = REPEATS.unpack(value)
        if calls:
            actor, target_key = ProcessKey(source, source_start), ProcessKey(target, target_start)
            yield access(last + offset, actor, target_key, way, size, calls)


def _memory_files(loaded: Loaded, now: int, offset: int) -> Iterator[Record]:
    made = loaded.maps["memory_files"]
    for key in syscall.keys(made, MEMORY_FILE.size, MOST_MEMORY_FILES):
        start, _, pid, flags = MEMORY_FILE.unpack(key)
        value = _take(made, key, MEMORY_FILES.size, now - LONG_NS)
        if value is None:
            continue
        _, last, _, files, name = MEMORY_FILES.unpack(value)
        if files:
            actor = ProcessKey(pid, start)
            yield MemoryFile(last + offset, actor, memory_name(name), flags, files=files)


def _take(map_fd: int, key: bytes, value_bytes: int, before: int) -> bytes | None:
    """Remove an entry that was last told before that time, and return it; None for another."""
    with suppress(FileNotFoundError):  # told and removed already: its key came twice
        (told,) = struct.unpack_from("<Q", syscall.lookup(map_fd, key, value_bytes))
        if told <= before:
            return syscall.take(map_fd, key, value_bytes)
    return None
