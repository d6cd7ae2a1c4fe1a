"""What the audit sensor tells beside program starts and exits, by rules for single system calls.

ptrace, process_vm_writev, memfd_create, kernel modules, eBPF; only calls that went well, and of
those with many uses only those that matter, by their first argument. What a record does not carry
(names, paths, types) is looked up in /proc, if the process is still there. Calls of 32-bit programs
have no rules, and reads by process_vm_readv have none: a profiler makes thousands a second.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.sensors import syscall
from deodar.agent.sensors.acts import (
    BpfUse,
    KernelModule,
    MemoryFile,
    ProcessAccess,
    ProcessTampering,
)
from deodar.agent.sensors.audit_control import call_rule
from deodar.agent.sensors.audit_sums import Sums
from deodar.agent.sensors.base import FileIdentity
from deodar.agent.sensors.bpf_types import MAPS, PROGRAMS, type_name
from deodar.agent.sensors.procfs import host_pid

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.sensors.audit_records import AuditEvent
    from deodar.agent.sensors.base import ProcessKey, Record


class Numbers(NamedTuple):
    """Numbers of the system calls on one architecture."""

    ptrace: int
    process_vm_writev: int
    memfd_create: int
    init_module: int
    finit_module: int
    delete_module: int
    bpf: int


NUMBERS = {
    0xC000003E: Numbers(101, 311, 319, 175, 313, 176, 321),  # x86-64
    0xC00000B7: Numbers(117, 271, 279, 105, 273, 106, 280),  # arm64
}
"""By audit's number of the architecture."""
LOOKS = {16: "ptrace_attach", 0x4206: "ptrace_seize"}
CHANGES = {
    **dict.fromkeys((4, 5), "ptrace_poke"),
    **dict.fromkeys((6, 13, 15, 0x4205), "ptrace_registers"),
}
"""Requests of ptrace that are told, and as what."""
REQUESTS = ((4, 6), (13, 16), (0x4205, 0x4206))
"""The same as ranges; what else is in them is sorted out here."""
MAP_CREATE, PROG_LOAD, PROG_ATTACH, RAW_TRACEPOINT_OPEN, LINK_CREATE = 0, 5, 8, 17, 28
ATTACHING = (PROG_ATTACH, RAW_TRACEPOINT_OPEN, LINK_CREATE)
UNKNOWN = "unknown"
PROC = Path("/proc")


def rules(arch: int) -> list[bytes]:
    """Return the rules for the kernel; raises KeyError for an architecture that is not known."""
    calls = NUMBERS[arch]
    plain = (calls[1:6],)  # all but ptrace and bpf
    commands = (MAP_CREATE, PROG_LOAD, *ATTACHING)
    return [
        *(call_rule(arch, group) for group in plain),
        *(call_rule(arch, (calls.ptrace,), first=span) for span in REQUESTS),
        *(call_rule(arch, (calls.bpf,), first=(command, command)) for command in commands),
    ]


class AuditCalls:
    """Makes records of audit's events of these calls."""

    def __init__(self, arch: int, key_of: Callable[[int, int], ProcessKey]) -> None:
        """`key_of` finds the key of a process by its number and the time of an event (ns)."""
        calls = NUMBERS[arch]
        self._key_of = key_of
        self._sums = Sums()
        self._makers: dict[int, Callable[[AuditEvent, ProcessKey], list[Record]]] = {
            calls.ptrace: self._ptrace,
            calls.process_vm_writev: self._written,
            calls.memfd_create: _memory_file,
            calls.init_module: _module_from_memory,
            calls.finit_module: _module,
            calls.delete_module: _unloaded,
            calls.bpf: _bpf,
        }

    def records(self, event: AuditEvent) -> list[Record]:
        """Return what an event tells; nothing for another call, or one that failed.

        Raises ValueError, KeyError when fields are missing.
        """
        maker = self._makers.get(int(event.call["syscall"]))
        pid = int(event.call["pid"])
        if maker is None or event.call.get("success") != "yes" or pid == os.getpid():
            return []
        return maker(event, self._key_of(pid, event.time_ns))

    def overdue(self, now_ns: int) -> list[Record]:
        """Return what was added up and is over."""
        return self._sums.overdue(now_ns)

    def _ptrace(self, event: AuditEvent, key: ProcessKey) -> list[Record]:
        request = _argument(event, 0)
        if request not in LOOKS and request not in CHANGES:
            return []
        target = event.target or host_pid(key.pid, _argument(event, 1))
        reached = self._key_of(target, event.time_ns)
        if request in LOOKS:
            return self._add(ProcessAccess(event.time_ns, key, reached, LOOKS[request]))
        size = struct.calcsize("P") if CHANGES[request] == "ptrace_poke" else 0
        return self._add(ProcessTampering(event.time_ns, key, reached, CHANGES[request], size))

    def _written(self, event: AuditEvent, key: ProcessKey) -> list[Record]:
        target = self._key_of(host_pid(key.pid, _argument(event, 0)), event.time_ns)
        size = int(event.call["exit"])
        return self._add(ProcessTampering(event.time_ns, key, target, "process_vm_writev", size))

    def _add(self, record: ProcessAccess) -> list[Record]:
        return [] if record.target.pid == record.key.pid else self._sums.add(record)


def _memory_file(event: AuditEvent, key: ProcessKey) -> list[Record]:
    descriptor = PROC / str(key.pid) / "fd" / event.call["exit"]
    name, ino = b"", 0
    with suppress(OSError):
        link = os.readlink(os.fsencode(descriptor))  # noqa: PTH115 - bytes
        if link.startswith(b"/memfd:"):
            name = link.removeprefix(b"/memfd:").removesuffix(b" (deleted)")
            ino = descriptor.stat().st_ino
    return [MemoryFile(event.time_ns, key, name, _argument(event, 1), ino)]


def _module_from_memory(event: AuditEvent, key: ProcessKey) -> list[Record]:
    return [KernelModule(event.time_ns, key, event.module, "load", from_memory=True)]


def _module(event: AuditEvent, key: ProcessKey) -> list[Record]:
    record = KernelModule(event.time_ns, key, event.module, "load")
    descriptor = PROC / str(key.pid) / "fd" / str(_argument(event, 0))
    with suppress(OSError):
        record.path = os.readlink(os.fsencode(descriptor))  # noqa: PTH115 - bytes
        found = descriptor.stat()
        record.identity = FileIdentity(
            found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        )
    return [record]


def _unloaded(event: AuditEvent, key: ProcessKey) -> list[Record]:
    return [KernelModule(event.time_ns, key, event.module, "unload")]


def _bpf(event: AuditEvent, key: ProcessKey) -> list[Record]:
    command = _argument(event, 0)
    facts = _descriptor_facts(key.pid, event.call["exit"]) if command != PROG_ATTACH else {}
    if command == MAP_CREATE:
        return [_named(BpfUse(event.time_ns, key, "map_create", 0), facts, "map")]
    if command == PROG_LOAD:
        facts.setdefault("prog_id", str(event.program))
        return [_named(BpfUse(event.time_ns, key, "program_load", 0), facts, "prog")]
    if command not in ATTACHING:
        return []
    record = _named(BpfUse(event.time_ns, key, "attach", 0), facts, "prog")
    record.type = facts.get("link_type", UNKNOWN)
    return [record]


def _named(record: BpfUse, facts: dict[str, str], what: str) -> BpfUse:
    """Add what the kernel says of a program or map by its number, if it is still there."""
    record.id, record.type = int(facts.get(f"{what}_id", 0)), UNKNOWN
    with suppress(OSError):
        if record.id and what == "map":
            record.kind, record.name = syscall.map_by_id(record.id)
            record.type = type_name(MAPS, record.kind)
        elif record.id:
            record.kind, record.name = syscall.program_by_id(record.id)
            record.type = type_name(PROGRAMS, record.kind)
    return record


def _descriptor_facts(pid: int, descriptor: str) -> dict[str, str]:
    try:
        text = (PROC / str(pid) / "fdinfo" / descriptor).read_text("ascii", "replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _argument(event: AuditEvent, number: int) -> int:
    return int(event.call[f"a{number}"], 16)
