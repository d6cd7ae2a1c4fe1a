"""Rules and records of audit for single calls: the real kernel, and modules from recorded text."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from deodar.agent.sensors import audit_control
from deodar.agent.sensors.acts import (
    BpfUse,
    KernelModule,
    MemoryFile,
    ProcessAccess,
    ProcessTampering,
)
from deodar.agent.sensors.audit import AuditSensor
from deodar.agent.sensors.audit_calls import NUMBERS, AuditCalls, rules
from deodar.agent.sensors.audit_records import EOE, Grouper
from deodar.agent.sensors.base import ProcessKey

REACHING = str(Path(__file__).parent / "reaching.py")
ARCH = 0xC000003E
STAMP = "audit(1795311171.722:134): "


@pytest.fixture
def audit(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    sensor = AuditSensor()
    sensor.open()
    yield sensor
    sensor.close()


def reach(way):
    """Reach into a process by a program; returns its pid and the target's."""
    command = [sys.executable, REACHING, way, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        answer, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return process.pid, int(answer.split()[0])


def of(kind, records, source):
    return [r for r in records if type(r) is kind and r.key.pid == source]


@pytest.mark.root
@pytest.mark.parametrize("way", ["ptrace_attach", "ptrace_seize"])
def test_a_look_into_another_process_is_told(audit, collect, way):
    source, target = reach(way)
    records = collect(audit, lambda records: of(ProcessAccess, records, source))
    (found,) = of(ProcessAccess, records, source)
    assert (found.way, found.target.pid) == (way, target)


@pytest.mark.root
@pytest.mark.parametrize(
    ("way", "size"), [("ptrace_poke", 8), ("ptrace_registers", 0), ("process_vm_writev", 100)]
)
def test_a_change_of_another_process_is_told_once(audit, collect, way, size):
    source, target = reach(way)
    after, _ = reach("ptrace_seize")
    records = collect(audit, lambda records: of(ProcessAccess, records, after))
    (found,) = of(ProcessTampering, records, source)
    assert (found.way, found.target.pid, found.size) == (way, target, size)


@pytest.mark.root
def test_what_a_process_does_to_itself_or_only_asks_is_not_told(audit, collect):
    sources = {reach(way)[0] for way in ("into_itself", "traced_by_its_wish")}
    after, _ = reach("ptrace_seize")
    records = collect(audit, lambda records: of(ProcessAccess, records, after))
    assert of(ProcessAccess, records, after)
    told = [r for r in records if isinstance(r, ProcessAccess) and r.key.pid in sources]
    assert told == []


def run_until_read(audit, collect, code, found):
    """Run Python code that waits at its end, until its records are there."""
    command = [sys.executable, "-c", code + "\nimport sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        records = collect(audit, lambda records: found(records, process.pid))
    return found(records, process.pid)


@pytest.mark.root
def test_a_memory_file_is_told_with_its_name_while_it_is_there(audit, collect, mark):
    code = f"import os; file = os.memfd_create('{mark}', os.MFD_CLOEXEC)"
    (found,) = run_until_read(audit, collect, code, partial(of, MemoryFile))
    assert (found.name, found.flags) == (mark.encode(), os.MFD_CLOEXEC)
    assert found.ino > 0


BPF = """
import struct
from deodar.agent.sensors import syscall
made = syscall.bpf(0, struct.pack("<IIIIIII16s", 1, 4, 8, 16, 0, 0, 0, b"try_map"))[0]
code = syscall.buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0))
free = syscall.buffer(b"GPL" + bytes(1))
at = (syscall.address(code), syscall.address(free))
attributes = struct.pack("<IIQQIIQII16s", 17, 2, *at, 0, 0, 0, 0, 0, b"try_prog")
program = syscall.bpf(syscall.PROG_LOAD, attributes)[0]
name = syscall.buffer(b"sched_process_exit" + bytes(1))
link = syscall.bpf(17, struct.pack("<QI4x", syscall.address(name), program))[0]
"""


@pytest.mark.root
def test_ebpf_is_told_with_types_and_names_while_it_is_there(audit, collect):
    def found(records, pid):
        mine = of(BpfUse, records, pid)
        return mine if len(mine) >= 3 else []

    made, loaded, attached = run_until_read(audit, collect, BPF, found)
    assert (made.command, made.type, made.name) == ("map_create", "hash", b"try_map")
    assert (loaded.command, loaded.type) == ("program_load", "raw_tracepoint")
    assert (attached.command, attached.type) == ("attach", "raw_tracepoint")
    assert loaded.name == attached.name == b"try_prog"
    assert loaded.id == attached.id > 0


@pytest.mark.root
def test_a_program_of_a_process_that_is_gone_has_its_number(audit, collect):
    with subprocess.Popen([sys.executable, "-c", BPF]) as process:
        assert process.wait(30) == 0
    records = collect(audit, lambda records: len(of(BpfUse, records, process.pid)) >= 3)
    assert of(BpfUse, records, process.pid)[1].id > 0


@pytest.mark.root
def test_the_kernel_takes_every_rule_and_gives_it_back(audit):
    arch = audit_control.ARCHITECTURES[platform.machine()].arch
    assert {bytes(rule) for rule in rules(arch)} <= set(audit_control.own_rules())


def text_event(call, *more):
    """Return the event of a recorded call; key is (70, 1) for process 70."""
    grouper = Grouper()
    grouper.add(1300, f"{STAMP}arch=c000003e success=yes exit=0 pid=70 {call}")
    for kind, text in more:
        grouper.add(kind, STAMP + text)
    return grouper.add(EOE, STAMP)


def converted(event):
    return AuditCalls(ARCH, lambda pid, _time: ProcessKey(pid, 1)).records(event)


def test_a_module_is_told_by_the_name_that_the_kernel_gave():
    module = (1330, 'name="snd_x"')
    (loaded,) = converted(text_event("syscall=175 a0=7f0000 a1=10", module))
    (unloaded,) = converted(text_event("syscall=176 a0=7f0000", module))
    assert loaded == KernelModule(
        loaded.time_ns, ProcessKey(70, 1), b"snd_x", "load", from_memory=True
    )
    assert (unloaded.name, unloaded.operation) == (b"snd_x", "unload")


def test_a_target_is_the_one_that_the_kernel_named():
    event = text_event("syscall=101 a0=10 a1=5", (1318, 'opid=4711 oauid=0 ocomm="x"'))
    assert converted(event)[0].target == ProcessKey(4711, 1)


@pytest.mark.parametrize(
    "call",
    [
        "syscall=101 a0=e a1=5",  # PTRACE_GETFPREGS, in the range of a rule
        "syscall=101 a0=10 a1=46",  # of itself: 0x46 is 70
        "syscall=39 a0=0 a1=0",  # another call
        "syscall=321 a0=1e a1=0",  # another command of bpf
    ],
)
def test_what_only_looks_alike_is_not_told(call):
    assert converted(text_event(call)) == []


def test_a_call_that_failed_is_not_told():
    event = text_event("syscall=175 a0=0", (1330, 'name="x"'))
    event.call["success"] = "no"
    assert converted(event) == []


def test_both_architectures_have_rules_for_the_same_calls():
    assert {len(rules(arch)) for arch in NUMBERS} == {9}
    assert {entry.arch for entry in audit_control.ARCHITECTURES.values()} == set(NUMBERS)
