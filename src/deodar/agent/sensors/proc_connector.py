"""The sensor of last resort: the kernel's proc connector tells pids, /proc tells the rest.

Messages as in linux/connector.h and linux/cn_proc.h: a netlink header, a connector header with a
number that counts the messages of one CPU (a gap is an exact loss), the event. Arguments of
processes shorter than the way to /proc are not to be had: those records are marked incomplete.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors.base import Exec, Exit, Fork, ProcessKey, Record
from deodar.agent.sensors.clock import WallClock
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.losses import MALFORMED, Loss
from deodar.agent.sensors.netlink import HEADER, NetlinkSensor, listen, message
from deodar.agent.sensors.procfs import Keys, Stat, fill, read_stat

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

PROTOCOL = 11  # NETLINK_CONNECTOR
GROUP = 1  # CN_IDX_PROC
CONNECTOR = struct.Struct("<IIIIHH")
EVENT = struct.Struct("<IIQ")
LISTEN, IGNORE = 1, 2
NONE, FORK, EXEC, EXIT = 0, 1, 2, 0x80000000
ANSWER_SECONDS = 2.0
GAP = Loss("", "the socket's buffer was full")
_EVENT_AT = HEADER.size + CONNECTOR.size
_DATA_AT = _EVENT_AT + EVENT.size


class ProcSensor(NetlinkSensor):
    """Watches the start and end of processes through the proc connector."""

    name = "proc"
    tier = "proc connector: processes, arguments only of those that live long enough"

    def __init__(self) -> None:
        super().__init__()
        self._clock = WallClock(time.CLOCK_MONOTONIC)
        self._keys = Keys()
        self._wall = self._boot = 0
        """What to add to an event's time to get ns since the epoch, and since boot."""
        self._next: dict[int, int] = {}
        self._lingering: dict[int, int] = {}
        """Processes whose first thread ended with this status while others still run."""

    def _start(self) -> socket.socket:
        channel = listen(PROTOCOL, GROUP)
        try:
            channel.send(control(LISTEN))
            await_answer(channel)
        except (OSError, SensorUnavailable):
            channel.close()
            raise
        return channel

    def _leave(self, channel: socket.socket) -> None:
        """Let the kernel make no more messages: older ones count listeners, not sockets."""
        with suppress(OSError):
            channel.send(control(IGNORE))

    def _explain(self, error: OSError) -> str:
        if error.errno == errno.EPERM:
            return "the proc connector takes root (CAP_NET_ADMIN) outside of any container"
        if error.errno in (errno.EPROTONOSUPPORT, errno.ENOENT, errno.ECONNREFUSED):
            return "this kernel has no proc connector (CONFIG_PROC_EVENTS)"
        return f"the proc connector: {error.strerror or error}"

    def _convert(self, messages: Sequence[bytes]) -> list[Record]:
        self._wall, boot = self._clock.offset(), time.CLOCK_BOOTTIME
        self._boot = time.clock_gettime_ns(boot) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        batch: list[Record] = []
        for data in messages:
            try:
                batch += self._one(data)
            except (struct.error, ValueError, IndexError):
                self._losses.add(Loss("", MALFORMED))
        return batch

    def _one(self, data: bytes) -> list[Record]:
        what, cpu, now = EVENT.unpack_from(data, _EVENT_AT)
        self._check_gap(cpu, CONNECTOR.unpack_from(data, HEADER.size)[2])
        if what == FORK:
            return self._fork(now, *struct.unpack_from("<4I", data, _DATA_AT))
        if what == EXEC:
            return self._exec(now, struct.unpack_from("<2I", data, _DATA_AT)[1])
        if what == EXIT:
            return self._exit(now, *struct.unpack_from("<3I", data, _DATA_AT))
        return []

    def _check_gap(self, cpu: int, number: int) -> None:
        expected = self._next.get(cpu, number)
        self._next[cpu] = (number + 1) & 0xFFFFFFFF
        missing = (number - expected) & 0xFFFFFFFF
        if 0 < missing < 1 << 31:
            self._losses.add(GAP, missing)

    def _fork(self, now: int, _: int, parent: int, thread: int, child: int) -> list[Record]:
        if thread != child:
            return []
        self._keys.end(child)  # an older process of that pid, whose end was missed
        stat = read_stat(child)
        key = self._keys.of(child, stat, now + self._boot)
        maker = self._parent(stat.parent if stat else parent, now)
        self._keys.note_parent(child, maker)
        made = Fork(now + self._wall, key, maker, complete=stat is not None)
        if stat is not None:
            made.comm = stat.comm
            made.uid, made.gid = made.euid, made.egid = owner(child)
        return [made]

    def _exec(self, now: int, pid: int) -> list[Record]:
        self._lingering.pop(pid, None)
        stat = read_stat(pid)
        key = self._keys.of(pid, stat, now + self._boot)
        parent = self._parent(stat.parent, now) if stat else self._keys.parent(pid)
        record = Exec(now + self._wall, key, parent, [])
        if stat is not None:
            record.comm, record.tty = stat.comm, stat.terminal
        fill(record)
        return [record]

    def _exit(self, now: int, thread: int, pid: int, status: int) -> list[Record]:
        """Report a process once, when its last thread is gone."""
        if thread != pid and pid not in self._lingering:
            return []
        stat = read_stat(pid)
        if stat is not None and stat.threads > 1:
            self._lingering.setdefault(pid, status)
            return []
        return [self._ended(now, pid, self._lingering.pop(pid, status), stat)]

    def _ended(self, now: int, pid: int, status: int, stat: Stat | None) -> Exit:
        known = self._keys.end(pid)
        key = known or (stat.key if stat else ProcessKey(pid, 0))
        lived = max(0, now + self._boot - key.start) if key.start else 0
        end = now + self._wall
        return Exit(end, key, status >> 8 & 0xFF, status & 0x7F, lived, key.start > 0)

    def _parent(self, pid: int, now: int) -> ProcessKey:
        return self._keys.of(pid, read_stat(pid), now + self._boot)


def control(operation: int) -> bytes:
    """Return the message that switches the connector's events on or off."""
    payload = struct.pack("<I", operation)
    return message(3, CONNECTOR.pack(GROUP, 1, 0, 0, len(payload), 0) + payload)


def await_answer(channel: socket.socket) -> None:
    """Wait for the kernel's answer to LISTEN.

    Raises OSError with its errno, SensorUnavailable when none comes.
    """
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    deadline = time.monotonic() + ANSWER_SECONDS
    while (left := deadline - time.monotonic()) > 0 and poll.poll(left * 1000):
        data = channel.recv(4096)
        if EVENT.unpack_from(data, _EVENT_AT)[0] == NONE:
            (code,) = struct.unpack_from("<I", data, _DATA_AT)
            if code:
                raise OSError(code, os.strerror(code))
            return
    raise SensorUnavailable("the proc connector does not answer (CONFIG_PROC_EVENTS?)")


def owner(pid: int) -> tuple[int, int]:
    """Return the effective user and group id of a running process; (0, 0) when it is gone."""
    try:
        found = Path(f"/proc/{pid}").stat()
    except OSError:
        return 0, 0
    return found.st_uid, found.st_gid
