"""The part `modules`: names of kernel modules. Its C side is bpf/modules.bpf.c.

A kernel that was built without modules would refuse it, and has no need of it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import ModuleSeen
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.parts.base import Part

if TYPE_CHECKING:
    from deodar.agent.sensors.ring import Buffer

RING_BYTES = 1 << 16
KIND = 60
SEEN = struct.Struct("<HHIQQ QII64s")
LOAD, UNLOAD = 1, 2
LIST = Path("/proc/modules")
"""The kernel's list of modules; not there when it can have none."""


def decode(buffer: Buffer, at: int, length: int, offset: int) -> ModuleSeen:
    """Return the record at `at`; `offset` takes boot time to wall clock. Raises MalformedRecord."""
    if length != SEEN.size:
        raise MalformedRecord(f"{length} bytes at {at} are no name of a module")
    kind, _, pid, start, time, taints, operation, _, name = SEEN.unpack_from(buffer, at)
    if kind != KIND or operation not in (LOAD, UNLOAD):
        raise MalformedRecord(f"record {kind} with operation {operation} of a module")
    return ModuleSeen(
        time + offset,
        ProcessKey(pid, start),
        name.partition(b"\0")[0],
        "load" if operation == LOAD else "unload",
        taints,
    )


MODULES = Part(
    name="modules",
    covers="names of kernel modules",
    kinds={KIND: "module_name"},
    decode=decode,
    ring_bytes=RING_BYTES,
    needed=LIST.exists,
)
