"""Records of the part `calls` about memory files and reached processes: numbers 32 and 33.

The formats here and the structures of bpf/call_records.h are two texts of one fact; a test compares
them by way of the blob's manifest.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import MemoryFile, ProcessAccess, ProcessTampering
from deodar.agent.sensors.base import ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.ring import Buffer

KINDS = {32: "memory_file", 33: "process_access"}
MEMFD = struct.Struct("<HHIQQ QII256s")
ACCESS = struct.Struct("<HHIQQ QQ4I")
_PREFIX = b"memfd:"

LOOKS = {1: "ptrace_attach", 2: "ptrace_seize", 3: "process_vm_readv", 4: "pidfd_getfd"}
CHANGES = {5: "ptrace_poke", 6: "ptrace_registers", 7: "process_vm_writev"}
"""Ways into another process, by the numbers of the C side: that only look, and that change it."""
PTRACE_WAYS = (1, 2, 5, 6)


def _memfd(buffer: Buffer, at: int, length: int, offset: int) -> MemoryFile:
    _expect(length, MEMFD)
    _, _, pid, start, time, ino, flags, files, name = MEMFD.unpack_from(buffer, at)
    return MemoryFile(time + offset, ProcessKey(pid, start), memory_name(name), flags, ino, files)


def _access(buffer: Buffer, at: int, length: int, offset: int) -> ProcessAccess:
    _expect(length, ACCESS)
    _, _, pid, start, time, target_start, size, target, way, calls, _ = ACCESS.unpack_from(
        buffer, at
    )
    return access(
        time + offset, ProcessKey(pid, start), ProcessKey(target, target_start), way, size, calls
    )


DECODERS: dict[int, Callable[[Buffer, int, int, int], Record]] = {32: _memfd, 33: _access}


def memory_name(raw: bytes) -> bytes:
    """Return what a process called its memory file, of the name that the kernel gave it."""
    return raw.partition(b"\0")[0].removeprefix(_PREFIX)


def access(
    time: int, source: ProcessKey, target: ProcessKey, way: int, size: int, calls: int
) -> ProcessAccess:
    """Return the record of a way, by its number; raises ValueError for one that is not known."""
    if way in CHANGES:
        return ProcessTampering(time, source, target, CHANGES[way], size, calls)
    if way in LOOKS:
        return ProcessAccess(time, source, target, LOOKS[way], size, calls)
    raise ValueError(f"way {way}")


def _expect(length: int, layout: struct.Struct) -> None:
    if length != layout.size:
        raise ValueError(f"{layout.size} bytes were expected")
