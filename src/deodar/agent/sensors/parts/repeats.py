"""What the programs of the part `calls` have added up and nobody told of since.

The structures are `reach` and `repeats` of bpf/access.h.
"""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from deodar.agent.sensors import syscall
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.parts.calls_reach import PTRACE_WAYS, access

if TYPE_CHECKING:
    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.loader import Loaded

REACH = struct.Struct("<QQ4I")
REPEATS = struct.Struct("<4Q")
MOST = 4096
"""As many as the map holds."""
PTRACE_NS, OTHER_NS = 60 * 10**9, 10**9
"""How long the programs add up before they tell again: PTRACE_SECONDS and OTHER_SECONDS."""


def overdue(loaded: Loaded, offset: int) -> list[Record]:
    """Return what was added up and is over, and make room for others.

    `offset` takes boot time to wall clock, in ns.
    """
    reached = loaded.maps["reached"]
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    found: list[Record] = []
    for key in syscall.keys(reached, REACH.size, MOST):
        with suppress(FileNotFoundError):  # told and removed already: it came twice
            told, *_ = REPEATS.unpack(syscall.lookup(reached, key, REPEATS.size))
            if now - told >= _patience(key):
                found += _record(key, syscall.take(reached, key, REPEATS.size), offset)
    return found


def _patience(key: bytes) -> int:
    return PTRACE_NS if REACH.unpack(key)[4] in PTRACE_WAYS else OTHER_NS


def _record(key: bytes, value: bytes, offset: int) -> list[Record]:
    source_start, target_start, source, target, way, _ = REACH.unpack(key)
    _, last, size, calls = REPEATS.unpack(value)
    if not calls:
        return []
    actor, reached = ProcessKey(source, source_start), ProcessKey(target, target_start)
    return [access(last + offset, actor, reached, way, size, calls)]
