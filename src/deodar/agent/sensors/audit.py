"""The sensor on the kernel's audit system: program starts, ordinary exits, some other calls.

It reads the multicast group for log readers, so it works beside auditd, whoever of the two came
first; where there is no auditd the kernel may also print records to its own log. Not seen this
way: forks, ends by a signal, and processes that were there before auditing was first switched on.
No process ever waits for this: the kernel drops and counts what it cannot hand over.
"""

from __future__ import annotations

import errno
import platform
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from deodar.agent.sensors import audit_calls, audit_readers, audit_settings, audit_users
from deodar.agent.sensors import audit_control as control
from deodar.agent.sensors.audit_records import AuditEvent, Grouper, to_exec
from deodar.agent.sensors.base import Exec, Exit, ProcessKey, Record
from deodar.agent.sensors.cleanup import remove_rules
from deodar.agent.sensors.clock import WallClock
from deodar.agent.sensors.errors import MalformedRecord, SensorUnavailable
from deodar.agent.sensors.losses import MALFORMED, Loss
from deodar.agent.sensors.netlink import HEADER, NetlinkSensor, listen
from deodar.agent.sensors.procfs import Keys, fill, read_stat

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

READERS = 1  # AUDIT_NLGRP_READLOG, as a mask
BACKLOG_FULL = Loss("", "the kernel's audit backlog was full (records, not events)")
UNFINISHED = Loss("", "records of the event were missing")
LOCKED = (
    "the audit rules are locked until the next boot (auditctl -e 2); remove that line from "
    "/etc/audit/rules.d, or use another sensor"
)
PANICS = (
    "the kernel is to stop the host when it loses an audit record (auditctl -f 2), so more records "
    "are a danger to it; change that to -f 1 in /etc/audit/rules.d, or use another sensor"
)


class AuditSensor(NetlinkSensor):
    """Watches execve and exit through audit rules."""

    name = "audit"
    tier = "audit: program starts, ordinary exits, access to processes, modules, eBPF, logons"

    def __init__(self) -> None:
        super().__init__()
        self._changed = False
        self._groups = Grouper()
        self._keys = Keys()
        self._clock = WallClock()
        self._lost_before = 0
        self._others: audit_calls.AuditCalls | None = None

    def _start(self) -> socket.socket:
        calls = control.ARCHITECTURES.get(platform.machine())
        if calls is None:
            raise SensorUnavailable(f"audit: system calls of {platform.machine()} are not known")
        channel = listen(control.PROTOCOL, READERS)
        try:
            self._calls = calls
            self._others = audit_calls.AuditCalls(calls.arch, self._key)
            self._set_up(control.status())
        except (OSError, SensorUnavailable):
            channel.close()
            raise
        return channel

    def _set_up(self, before: control.Status) -> None:
        if before.enabled == control.LOCKED:
            raise SensorUnavailable(LOCKED)
        if before.failure == control.PANIC:
            raise SensorUnavailable(PANICS)
        self._lost_before = before.lost
        self._changed = True
        remove_rules()  # of an agent that was killed, perhaps of another release
        for rule in self._rules():
            control.add_rule(rule)
        audit_settings.change()
        self.advice = audit_readers.advice()

    def _rules(self) -> list[bytes]:
        plain = [control.exec_rule(self._calls), control.exit_rule(self._calls)]
        return plain + audit_calls.rules(self._calls.arch)

    def _stop(self) -> None:
        if not self._changed:
            return
        self._changed = False
        for undo in (remove_rules, audit_settings.put_back):
            with suppress(OSError):  # rules locked or flushed meanwhile: nothing left to undo
                undo()

    def _explain(self, error: OSError) -> str:
        if error.errno in (errno.EPERM, errno.EACCES):
            return "audit takes root (CAP_AUDIT_CONTROL and CAP_AUDIT_READ) outside of containers"
        if error.errno in (errno.EPROTONOSUPPORT, errno.ECONNREFUSED):
            return "this kernel or container has no audit system (CONFIG_AUDIT)"
        return f"audit: {error.strerror or error}"

    def _count_losses(self) -> None:
        with suppress(OSError):
            self._losses.note({BACKLOG_FULL: control.status().lost - self._lost_before})

    def _convert(self, messages: Sequence[bytes]) -> list[Record]:
        batch: list[Record] = []
        for data in messages:
            try:
                kind = HEADER.unpack_from(data)[1]
                text = data[HEADER.size :].decode("utf-8", "surrogateescape").rstrip("\0\n")
                if kind in audit_users.KINDS:
                    call = audit_users.pam_call(text, self._key)
                    batch += [call] if call is not None else []
                    continue
                event = self._groups.add(kind, text)
                if event is not None and event.call:
                    batch += self._records(event)
            except (MalformedRecord, ValueError, KeyError, struct.error):
                self._losses.add(Loss("", MALFORMED))
        self._losses.add(UNFINISHED, self._groups.abandoned())
        if self._others is not None:
            batch += self._others.overdue(time.time_ns())
        return batch

    def _records(self, event: AuditEvent) -> list[Record]:
        call = event.call
        if int(call["arch"], 16) != self._calls.arch:
            return []
        number = int(call["syscall"])
        if number in (self._calls.execve, self._calls.execveat) and call.get("success") == "yes":
            return [self._exec(event)]
        if number == self._calls.exit_group:
            return [self._exit(event)]
        return self._others.records(event) if self._others is not None else []

    def _key(self, pid: int, time_ns: int) -> ProcessKey:
        return self._keys.of(pid, read_stat(pid), time_ns - self._clock.offset())

    def _exec(self, event: AuditEvent) -> Exec:
        pid, parent = int(event.call["pid"]), int(event.call["ppid"])
        record = to_exec(event, self._key(pid, event.time_ns), self._key(parent, event.time_ns))
        fill(record)
        return record

    def _exit(self, event: AuditEvent) -> Exit:
        pid, status = int(event.call["pid"]), int(event.call["a0"], 16)
        stat = read_stat(pid)
        key = self._keys.end(pid) or (stat.key if stat else ProcessKey(pid, 0))
        moment = event.time_ns - self._clock.offset()
        lived = max(0, moment - key.start) if key.start else 0
        return Exit(event.time_ns, key, status & 0xFF, 0, lived, key.start > 0)
