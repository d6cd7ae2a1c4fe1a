"""From the bytes of bpf/records.h to records.

The formats here and the C structures are two texts of one fact; the build writes the C side's
offsets into the blob's manifest, and a test compares.
"""

from __future__ import annotations

import os
import socket
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from deodar.agent.sensors.base import (
    NOT_SET,
    Connection,
    Exec,
    Exit,
    FileIdentity,
    Fork,
    Listen,
    ProcessKey,
    Record,
)
from deodar.agent.sensors.errors import MalformedRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deodar.agent.sensors.ring import Buffer

    Decoder = Callable[[Buffer, int, int, int], Record]

KINDS = {1: "exec", 2: "fork", 3: "exit", 4: "connection", 5: "listen"}
HEAD = struct.Struct("<HHIQQ")
EXEC = struct.Struct("<HHIQQ QI5I2I2III QqqqQQ II 4H 16s24s")
FORK = struct.Struct("<HHIQQ QI4I2II16s")
EXIT = struct.Struct("<HHIQQ II")
SOCKET = struct.Struct("<HHIQQ I6H 16s16s")
ARGV_TRUNCATED, EXE_TRUNCATED, CWD_TRUNCATED, IN_MEMORY = 1, 2, 4, 16
OUTBOUND, OUTBOUND_FAILED, INBOUND = 1, 2, 3
_MAPPED = bytes(10) + b"\xff\xff"


def by_kind(decoders: Mapping[int, Decoder]) -> Decoder:
    """Return one decoder for records of several kinds; it raises MalformedRecord.

    Those that it chooses from may raise what odd bytes make them raise.
    """

    def decode(buffer: Buffer, at: int, length: int, offset: int) -> Record:
        try:
            kind = buffer[at] | buffer[at + 1] << 8
            return decoders[kind](buffer, at, length, offset)
        except (IndexError, KeyError, ValueError, struct.error) as error:
            raise MalformedRecord(f"{length} bytes at {at} are no record: {error}") from error

    return decode


def _exec(buffer: Buffer, at: int, length: int, offset: int) -> Exec:
    (
        _, flags, pid, start, time, parent_start, parent_pid, uid, gid, euid, egid, suid,
        login_uid, session_id, mount_ns, pid_ns, dev, links, ino, size, mtime, ctime, cgroup, caps,
        mode, argv_bytes, filename_bytes, exe_bytes, cwd_bytes, _, comm, tty,
    ) = EXEC.unpack_from(buffer, at)  # fmt: skip
    paths = at + EXEC.size
    exe = paths + filename_bytes
    cwd = exe + exe_bytes
    argv = cwd + cwd_bytes
    if argv + argv_bytes != at + length:
        raise ValueError("the parts do not add up to the whole")
    return Exec(
        time + offset,
        ProcessKey(pid, start),
        ProcessKey(parent_pid, parent_start),
        split_argv(bytes(buffer[argv : argv + argv_bytes])),
        flags & ARGV_TRUNCATED != 0,
        join_path(bytes(buffer[exe:cwd]), flags & EXE_TRUNCATED),
        join_path(bytes(buffer[cwd:argv]), flags & CWD_TRUNCATED),
        _text(bytes(buffer[paths:exe])),
        _text(comm),
        _terminal(tty),
        uid, gid, euid, egid, suid,
        None if login_uid == NOT_SET else login_uid,
        None if session_id == NOT_SET else session_id,
        cgroup,
        FileIdentity(device(dev), ino, size, mtime, ctime),
        links == 0,
        mode, mount_ns, pid_ns, caps,
        in_memory=flags & IN_MEMORY != 0,
    )  # fmt: skip


def _fork(buffer: Buffer, at: int, length: int, offset: int) -> Fork:
    _expect(length, FORK)
    (
        _, _, pid, start, time, parent_start, parent_pid, uid, gid, euid, egid,
        login_uid, session_id, _, comm,
    ) = FORK.unpack_from(buffer, at)  # fmt: skip
    return Fork(
        time + offset, ProcessKey(pid, start), ProcessKey(parent_pid, parent_start),
        uid, gid, euid, egid,
        None if login_uid == NOT_SET else login_uid,
        None if session_id == NOT_SET else session_id,
        _text(comm),
    )  # fmt: skip


def _exit(buffer: Buffer, at: int, length: int, offset: int) -> Exit:
    _expect(length, EXIT)
    _, _, pid, start, time, status, _ = EXIT.unpack_from(buffer, at)
    return Exit(
        time + offset, ProcessKey(pid, start), (status >> 8) & 0xFF, status & 0x7F, time - start
    )


def _socket(buffer: Buffer, at: int, length: int, offset: int) -> Connection | Listen:
    _expect(length, SOCKET)
    (
        kind, _, pid, start, time, uid, direction, family, protocol, local_port, remote_port,
        error, local, remote,
    ) = SOCKET.unpack_from(buffer, at)  # fmt: skip
    if family == socket.AF_INET6 and local[:12] == _MAPPED:
        family, local, remote = socket.AF_INET, local[12:], remote[12:]
    key, time = ProcessKey(pid, start), time + offset
    if KINDS[kind] == "listen":
        return Listen(time, key, ip_text(family, local), local_port, protocol, family, uid)
    if direction not in (OUTBOUND, OUTBOUND_FAILED, INBOUND):
        raise ValueError(f"direction {direction}")
    return Connection(
        time, key, "inbound" if direction == INBOUND else "outbound", family, protocol,
        ip_text(family, local), local_port, ip_text(family, remote), remote_port, uid,
        direction != OUTBOUND_FAILED, error,
    )  # fmt: skip


decode = by_kind({1: _exec, 2: _fork, 3: _exit, 4: _socket, 5: _socket})
"""From (buffer, offset, length, ns from boot time to wall clock) to a record of the core part."""


def split_argv(raw: bytes) -> list[bytes]:
    """Return the arguments of a NUL-ended row; an empty row is no argument at all."""
    if not raw:
        return []
    return raw.removesuffix(b"\0").split(b"\0")


@lru_cache(maxsize=2048)
def join_path(names: bytes, truncated: int) -> bytes:
    """Return the path whose names come leaf first; one without its first folders starts with ..."""
    parts = names.split(b"\0")[-2::-1]
    return (b".../" if truncated else b"/") + b"/".join(parts)


@lru_cache(maxsize=256)
def _terminal(raw: bytes) -> str:
    return terminal(_text(raw).decode("ascii", "replace"))


def terminal(name: str) -> str:
    """Return a terminal's name as it is in /dev: the kernel says pts0 for pts/0."""
    return f"pts/{name[3:]}" if name[:3] == "pts" and name[3:].isdigit() else name


@lru_cache(maxsize=256)
def device(kernel: int) -> int:
    """Return the device number that os.stat would give for the kernel's own form."""
    return os.makedev(kernel >> 20, kernel & 0xFFFFF)


@lru_cache(maxsize=4096)
def ip_text(family: int, address: bytes) -> str:
    """Return an address as text; raises ValueError for another family than IPv4 or IPv6."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        raise ValueError(f"address family {family}")
    return socket.inet_ntop(family, address[: 4 if family == socket.AF_INET else 16])


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _expect(length: int, layout: struct.Struct) -> None:
    if length != layout.size:
        raise ValueError(f"{layout.size} bytes were expected")
