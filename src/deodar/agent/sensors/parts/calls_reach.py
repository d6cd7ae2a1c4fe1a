"""Records of the part `calls` about memory, processes and the kernel: numbers 32 to 39.

The formats here and the structures of bpf/call_records.h are two texts of one fact; a test compares
them by way of the blob's manifest.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import MemoryFile
from deodar.agent.sensors.base import ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.ring import Buffer

KINDS = {32: "memory_file"}
MEMFD = struct.Struct("<HHIQQ QII256s")
_PREFIX = b"memfd:"


def _memfd(buffer: Buffer, at: int, length: int, offset: int) -> MemoryFile:
    _expect(length, MEMFD)
    _, _, pid, start, time, ino, flags, _, name = MEMFD.unpack_from(buffer, at)
    return MemoryFile(
        time + offset, ProcessKey(pid, start), _text(name).removeprefix(_PREFIX), flags, ino
    )


DECODERS: dict[int, Callable[[Buffer, int, int, int], Record]] = {32: _memfd}


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _expect(length: int, layout: struct.Struct) -> None:
    if length != layout.size:
        raise ValueError(f"{layout.size} bytes were expected")
