"""Records of the part `calls` about what goes into the kernel: modules and eBPF, numbers 34, 35.

The formats here and the structures of bpf/call_records.h are two texts of one fact; a test compares
them by way of the blob's manifest.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import BpfUse, KernelModule
from deodar.agent.sensors.base import FileIdentity, ProcessKey
from deodar.agent.sensors.bpf_types import (
    ATTACHMENTS,
    LINKS,
    MAPS,
    PERF_EVENTS,
    PROGRAMS,
    SOCKETS,
    type_name,
)
from deodar.agent.sensors.decode import device, join_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.ring import Buffer

KINDS = {34: "kernel_module", 35: "bpf"}
MODULE = struct.Struct("<HHIQQ Qqqq II HHI 64s")
BPF = struct.Struct("<HHIQQ 4I 16s 64s")
LOAD, UNLOAD = 1, 2
FROM_MEMORY = 1
BPF_COMMANDS = {
    1: ("program_load", PROGRAMS),
    2: ("map_create", MAPS),
    3: ("attach", LINKS),
    4: ("attach", ATTACHMENTS),
    5: ("attach", PERF_EVENTS),
    6: ("attach", SOCKETS),
}
"""What came into the kernel by the numbers of the C side, and the names of its types."""


def _module(buffer: Buffer, at: int, length: int, offset: int) -> KernelModule:
    (
        _,
        flags,
        pid,
        start,
        time,
        ino,
        size,
        mtime,
        ctime,
        dev,
        _,
        operation,
        path_bytes,
        cut,
        name,
    ) = MODULE.unpack_from(buffer, at)
    if length != MODULE.size + path_bytes or operation not in (LOAD, UNLOAD):
        raise ValueError(f"operation {operation} with a path of {path_bytes} bytes")
    names = bytes(buffer[at + MODULE.size : at + length])
    return KernelModule(
        time + offset,
        ProcessKey(pid, start),
        name.partition(b"\0")[0],
        "load" if operation == LOAD else "unload",
        join_path(names, cut) if names else b"",
        FileIdentity(device(dev), ino, size, mtime, ctime) if ino else None,
        flags & FROM_MEMORY != 0,
    )


def _bpf(buffer: Buffer, at: int, length: int, offset: int) -> BpfUse:
    if length != BPF.size:
        raise ValueError(f"{BPF.size} bytes were expected")
    _, _, pid, start, time, command, kind, number, _, name, target = BPF.unpack_from(buffer, at)
    text, types = BPF_COMMANDS[command]
    return BpfUse(
        time + offset,
        ProcessKey(pid, start),
        text,
        kind,
        name.partition(b"\0")[0],
        number,
        type_name(types, kind),
        target.partition(b"\0")[0],
    )


DECODERS: dict[int, Callable[[Buffer, int, int, int], Record]] = {34: _module, 35: _bpf}
