"""From the bytes of bpf/files_records.h to records.

The format here and the C structure are two texts of one fact; the build writes the C side's
offsets into the blob's manifest, and a test compares.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import (
    DeviceOpen,
    FileChange,
    FileClosed,
    FileOperation,
    LibraryLoad,
    ProcessAccess,
    ProcessTampering,
)
from deodar.agent.sensors.base import FileIdentity, ProcessKey
from deodar.agent.sensors.decode import device
from deodar.agent.sensors.errors import MalformedRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.base import Record
    from deodar.agent.sensors.ring import Buffer

CHANGE, CLOSED, LIBRARY, DEVICE, PROC_MEM = range(16, 21)
KINDS = {
    CHANGE: "file change",
    CLOSED: "file closed",
    LIBRARY: "library load",
    DEVICE: "device open",
    PROC_MEM: "process memory open",
}
FILE = struct.Struct("<HHIQQ IIII QqqqQ II II II")
FROM_PROCESS, TRUNCATED, PREVIOUS_TRUNCATED, WILL_CLOSE, UNLINKED, WRITABLE = 1, 2, 4, 8, 16, 32
GAP = 4
"""Unused bytes between the two paths."""
_ODD = (b"/.", b"//")


def decode(buffer: Buffer, at: int, length: int, offset: int) -> Record:
    """Return the record of `length` bytes at `at`; `offset` takes boot time to wall clock, in ns.

    Raises MalformedRecord.
    """
    try:
        fields = FILE.unpack_from(buffer, at)
        return _DECODERS[fields[0]](fields, bytes(buffer[at + FILE.size : at + length]), offset)
    except (KeyError, ValueError, struct.error) as error:
        raise MalformedRecord(f"{length} bytes at {at} are no record: {error}") from error


def _change(fields: tuple[int, ...], paths: bytes, offset: int) -> FileChange:
    (
        _, flags, pid, start, time, operation, mode, open_flags, dev, ino, size, mtime, ctime,
        _, _, _, path_bytes, previous_bytes, _, _,
    ) = fields  # fmt: skip
    previous = b""
    if previous_bytes:
        at = path_bytes + GAP
        previous = _path(paths, at, previous_bytes, flags & PREVIOUS_TRUNCATED, process=True)
    exact = not flags & FROM_PROCESS
    return FileChange(
        time + offset,
        ProcessKey(pid, start),
        FileOperation(operation),
        _path(paths, 0, path_bytes, flags & TRUNCATED, process=not exact),
        previous,
        FileIdentity(device(dev), ino, size, mtime, ctime) if ino else None,
        mode,
        open_flags,
        exact,
        flags & WILL_CLOSE != 0,
    )


def _closed(fields: tuple[int, ...], _paths: bytes, offset: int) -> FileClosed:
    return FileClosed(fields[4] + offset, ProcessKey(fields[2], fields[3]), _identity(fields))


def _library(fields: tuple[int, ...], paths: bytes, offset: int) -> LibraryLoad:
    return LibraryLoad(
        fields[4] + offset,
        ProcessKey(fields[2], fields[3]),
        _path(paths, 0, fields[16], fields[1] & TRUNCATED),
        _identity(fields),
        fields[6],
        fields[1] & UNLINKED != 0,
    )


def _device(fields: tuple[int, ...], paths: bytes, offset: int) -> DeviceOpen:
    number = device(fields[15])
    return DeviceOpen(
        fields[4] + offset,
        ProcessKey(fields[2], fields[3]),
        _path(paths, 0, fields[16], fields[1] & TRUNCATED),
        stat.S_ISBLK(fields[6]),
        os.major(number),
        os.minor(number),
        fields[7],
    )


def _proc_mem(fields: tuple[int, ...], _paths: bytes, offset: int) -> ProcessAccess:
    time, key, target = fields[4] + offset, ProcessKey(fields[2], fields[3]), _target(fields)
    if fields[1] & WRITABLE:
        return ProcessTampering(time, key, target, "proc_mem_write")
    return ProcessAccess(time, key, target, "proc_mem_read")


_DECODERS: dict[int, Callable[[tuple[int, ...], bytes, int], Record]] = {
    CHANGE: _change,
    CLOSED: _closed,
    LIBRARY: _library,
    DEVICE: _device,
    PROC_MEM: _proc_mem,
}


def _identity(fields: tuple[int, ...]) -> FileIdentity:
    dev, ino, size, mtime, ctime = fields[8:13]
    return FileIdentity(device(dev), ino, size, mtime, ctime)


def _target(fields: tuple[int, ...]) -> ProcessKey:
    return ProcessKey(fields[14], fields[13])


def _path(paths: bytes, at: int, length: int, truncated: int, *, process: bool = False) -> bytes:
    if at + length > len(paths):
        raise ValueError("a path is longer than its record")
    path = paths[at : at + length]
    if process:
        path = plain(path)
    return b"..." + path if truncated else path or b"/"


def plain(path: bytes) -> bytes:
    """Return an absolute path without `.`, `..` and needless slashes, as far as names tell."""
    if any(odd in path for odd in _ODD) or path.endswith(b"/"):
        return os.path.normpath(b"/" + path.lstrip(b"/"))
    return path
