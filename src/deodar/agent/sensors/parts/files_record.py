"""The record that all of the part `files` is told by: its layout, and what its fields mean.

The format here and the C structure in bpf/files_records.h are two texts of one fact; the build
writes the C side's offsets into the blob's manifest, and a test compares.
"""

from __future__ import annotations

import os
import struct

from deodar.agent.sensors.base import FileIdentity, ProcessKey
from deodar.agent.sensors.decode import device

CHANGE, CLOSED, LIBRARY, DEVICE, PROC_MEM = range(16, 21)
FILE = struct.Struct("<HHIQQ IIII QqqqQ II II II")
FROM_PROCESS, TRUNCATED, PREVIOUS_TRUNCATED, WILL_CLOSE, UNLINKED, WRITABLE = 1, 2, 4, 8, 16, 32
GAP = 4
"""Unused bytes between the two paths."""
Fields = tuple[int, ...]
"""What `FILE` unpacks."""
_ODD = (b"/.", b"//")


def key_of(fields: Fields) -> ProcessKey:
    """Return the process that did it."""
    return ProcessKey(fields[2], fields[3])


def identity_of(fields: Fields) -> FileIdentity:
    """Return which content of which file it is about."""
    dev, ino, size, mtime, ctime = fields[8:13]
    return FileIdentity(device(dev), ino, size, mtime, ctime)


def path_of(fields: Fields, paths: bytes) -> bytes:
    """Return the path; what the process passed is made plain. Raises ValueError."""
    return _path(paths, 0, fields[16], fields[1] & TRUNCATED, fields[1] & FROM_PROCESS)


def previous_of(fields: Fields, paths: bytes) -> bytes:
    """Return the path before a rename, b"" in other cases. Raises ValueError."""
    if not fields[17]:
        return b""
    return _path(paths, fields[16] + GAP, fields[17], fields[1] & PREVIOUS_TRUNCATED, FROM_PROCESS)


def _path(paths: bytes, at: int, length: int, truncated: int, from_process: int) -> bytes:
    if at + length > len(paths):
        raise ValueError("a path is longer than its record")
    path = paths[at : at + length]
    if from_process:
        path = plain(path)
    return b"..." + path if truncated else path or b"/"


def plain(path: bytes) -> bytes:
    """Return an absolute path without `.`, `..` and needless slashes, as far as names tell."""
    if any(odd in path for odd in _ODD) or path.endswith(b"/"):
        return os.path.normpath(b"/" + path.lstrip(b"/"))
    return path
