"""The bpf(2) system call, as little of it as the sensors need.

Numbers and layouts are those of the kernel's UAPI header linux/bpf.h. Every function raises OSError
with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from contextlib import suppress

NUMBERS = {"x86_64": 321, "aarch64": 280}
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, NEXT_KEY = 0, 1, 2, 3, 4
PROG_LOAD, PROG_RUN = 5, 10
OBJECT_INFO, RAW_TRACEPOINT_OPEN, MAP_TAKE, ENABLE_STATS = 15, 17, 21, 32
ARRAY_MAP = 2
NO_EXIST = 1
SYSCALL_PROGRAM = 31
SLEEPABLE = 1 << 4
LICENSE = b"Dual BSD/GPL"
PROGRAM_BY_ID, MAP_BY_ID = 13, 14
_NAMED_BYTES = 80  # struct bpf_prog_info and bpf_map_info up to and with the name
_INFO_BYTES = 224  # struct bpf_prog_info up to and with recursion_misses, verified_insns
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attributes: bytes | bytearray) -> tuple[int, bytes]:
    """Make the system call; returns its result and the attributes as the kernel left them."""
    number = NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(38, f"bpf(2) is not known on {platform.machine()}")
    block = ctypes.create_string_buffer(bytes(attributes), len(attributes))
    result = _libc.syscall(number, command, ctypes.byref(block), len(attributes))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result, block.raw


def address(data: ctypes.Array[ctypes.c_char]) -> int:
    """Where a buffer is in memory, for a pointer among the attributes."""
    return ctypes.addressof(data)


def buffer(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """Return a buffer that holds `data`; keep it alive as long as the kernel may look at it."""
    return ctypes.create_string_buffer(data, len(data))


def create_array(name: str, value_bytes: int) -> int:
    """Make an array map with one element of `value_bytes`; returns its descriptor."""
    attributes = struct.pack(
        "<IIIIIII16s", ARRAY_MAP, 4, value_bytes, 1, 0, 0, 0, name.encode()[:15]
    )
    return bpf(MAP_CREATE, attributes)[0]


def update(map_fd: int, key: bytes, value: bytes, flags: int = 0) -> None:
    """Set one element of a map; with NO_EXIST, raises FileExistsError when it is there already."""
    key_buffer, value_buffer = buffer(key), buffer(value)
    attributes = struct.pack("<IxxxxQQQ", map_fd, address(key_buffer), address(value_buffer), flags)
    bpf(MAP_UPDATE, attributes)


def lookup(map_fd: int, key: bytes, value_bytes: int) -> bytes:
    """Return one element of a map (of a per-CPU map, all CPUs' values in a row)."""
    key_buffer, value_buffer = buffer(key), buffer(bytes(value_bytes))
    attributes = struct.pack("<IxxxxQQQ", map_fd, address(key_buffer), address(value_buffer), 0)
    bpf(MAP_LOOKUP, attributes)
    return value_buffer.raw


def take(map_fd: int, key: bytes, value_bytes: int) -> bytes:
    """Return one element of a hash map and remove it, in one step."""
    key_buffer, value_buffer = buffer(key), buffer(bytes(value_bytes))
    attributes = struct.pack("<IxxxxQQQ", map_fd, address(key_buffer), address(value_buffer), 0)
    bpf(MAP_TAKE, attributes)
    return value_buffer.raw


def delete(map_fd: int, key: bytes) -> None:
    """Remove one element of a map; raises FileNotFoundError when there is none."""
    key_buffer = buffer(key)
    bpf(MAP_DELETE, struct.pack("<IxxxxQQQ", map_fd, address(key_buffer), 0, 0))


def keys(map_fd: int, key_bytes: int, limit: int) -> list[bytes]:
    """Return the keys of a map, at most `limit`; some may appear twice while it changes."""
    found: list[bytes] = []
    next_buffer = buffer(bytes(key_bytes))
    with suppress(FileNotFoundError):  # after the last one
        while len(found) < limit:
            before = buffer(found[-1]) if found else None
            at = address(before) if before is not None else 0
            bpf(NEXT_KEY, struct.pack("<IxxxxQQ", map_fd, at, address(next_buffer)))
            found.append(next_buffer.raw)
    return found


def load_program(instructions: bytes, map_fd: int) -> int:
    """Load a loader program that works on one map; returns its descriptor."""
    code, license_, fds = buffer(instructions), buffer(LICENSE + b"\0"), buffer(_u32(map_fd))
    attributes = bytearray(128)
    struct.pack_into(
        "<IIQQ", attributes, 0, SYSCALL_PROGRAM, len(instructions) // 8, address(code),
        address(license_),
    )  # fmt: skip
    struct.pack_into("<I", attributes, 44, SLEEPABLE)
    struct.pack_into("<16s", attributes, 48, b"deodar_loader")
    struct.pack_into("<Q", attributes, 120, address(fds))
    return bpf(PROG_LOAD, attributes)[0]


def run_program(program_fd: int, context: ctypes.Array[ctypes.c_char]) -> int:
    """Run a loader program once on its context, which it changes; returns its return value."""
    attributes = bytearray(64)
    struct.pack_into("<I", attributes, 0, program_fd)
    struct.pack_into("<I", attributes, 40, len(context))
    struct.pack_into("<Q", attributes, 48, address(context))
    _, after = bpf(PROG_RUN, attributes)
    value: int = struct.unpack_from("<i", after, 4)[0]
    return value


def attach(program_fd: int) -> int:
    """Attach a tp_btf program to the tracepoint it was built for; returns the link's descriptor."""
    return bpf(RAW_TRACEPOINT_OPEN, struct.pack("<QI4x", 0, program_fd))[0]


def program_info(program_fd: int) -> tuple[int, int, int, int]:
    """Return a program's id, run time in ns, number of runs and of runs skipped by re-entry.

    Time and number of runs count only while statistics are on (`enable_statistics`).
    """
    info = buffer(bytes(_INFO_BYTES))
    bpf(OBJECT_INFO, struct.pack("<IIQ", program_fd, _INFO_BYTES, address(info)))
    (identity,) = struct.unpack_from("<I", info.raw, 4)
    run_time, runs, missed = struct.unpack_from("<QQQ", info.raw, 192)
    return identity, run_time, runs, missed


def program_by_id(number: int) -> tuple[int, bytes]:
    """Return type and name of the program with that number of the kernel's."""
    return _by_id(PROGRAM_BY_ID, number, 64)


def map_by_id(number: int) -> tuple[int, bytes]:
    """Return type and name of the map with that number of the kernel's."""
    return _by_id(MAP_BY_ID, number, 24)


def enable_statistics() -> int:
    """Let the kernel measure its BPF programs until the returned descriptor is closed."""
    return bpf(ENABLE_STATS, struct.pack("<I", 0))[0]


def _by_id(command: int, number: int, name_at: int) -> tuple[int, bytes]:
    descriptor, _ = bpf(command, struct.pack("<III", number, 0, 0))
    try:
        info = buffer(bytes(_NAMED_BYTES))
        bpf(OBJECT_INFO, struct.pack("<IIQ", descriptor, _NAMED_BYTES, address(info)))
    finally:
        os.close(descriptor)
    (kind,) = struct.unpack_from("<I", info.raw)
    return kind, info.raw[name_at : name_at + 16].partition(b"\0")[0]


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)
