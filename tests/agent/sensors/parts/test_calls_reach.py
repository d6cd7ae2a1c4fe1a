"""Against the real kernel: files in memory, and processes that reach into others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deodar.agent.sensors import syscall
from deodar.agent.sensors.acts import MemoryFile, ProcessAccess, ProcessTampering
from deodar.agent.sensors.parts.calls_reach import CHANGES, KINDS, LOOKS
from deodar.agent.sensors.parts.repeats import MEMORY_FILE, MEMORY_FILES, MOST_MEMORY_FILES

pytestmark = pytest.mark.root
REACHING = str(Path(__file__).parent.parent / "reaching.py")
NO_32_BIT = "this kernel takes no 32-bit system calls (CONFIG_IA32_EMULATION)"


def test_its_numbers_are_its_own() -> None:
    assert all(32 <= kind < 34 for kind in KINDS)


def reach(way, target=0, prefix=()):
    """Reach into a process by a program; returns its pid, the target's, and what the call gave."""
    command = [*prefix, sys.executable, REACHING, way, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        answer, _ = process.communicate(timeout=30)
    if process.returncode == -signal.SIGSEGV and way.endswith("_32"):
        pytest.skip(NO_32_BIT)
    assert process.returncode == 0
    hit, result = answer.split()
    return process.pid, int(hit), int(result)


def of(kind, records, source):
    return [r for r in records if type(r) is kind and r.key.pid == source]


def looked(records, source):
    return of(ProcessAccess, records, source)


def changed(records, source):
    return of(ProcessTampering, records, source)


@pytest.mark.parametrize("way", LOOKS.values())
def test_a_look_into_another_process_is_told(calls, collect, way):
    source, target, size = reach(way)
    records = collect(calls, lambda records: looked(records, source))
    (found,) = looked(records, source)
    assert (found.way, found.target.pid, found.size, found.calls) == (way, target, size, 1)
    assert found.target.start > found.key.start > 0
    assert changed(records, source) == []


@pytest.mark.parametrize("way", CHANGES.values())
def test_a_change_of_another_process_is_told(calls, collect, way):
    source, target, _ = reach(way)
    records = collect(calls, lambda records: changed(records, source))
    found = changed(records, source)[0]
    assert (found.way, found.target.pid) == (way, target)
    assert found.size == {"ptrace_poke": 8, "process_vm_writev": 100}.get(way, 0)
    attached = [access.way for access in looked(records, source)]
    assert attached == (["ptrace_attach"] if way.startswith("ptrace") else [])


@pytest.mark.parametrize("way", ["ptrace_attach_32", "process_vm_readv_32", "process_vm_writev_32"])
def test_a_32_bit_call_is_not_taken_for_another(calls, collect, way):
    source, target, size = reach(way)
    records = collect(calls, lambda records: looked(records, source) + changed(records, source))
    (found,) = looked(records, source) + changed(records, source)
    assert (found.way, found.target.pid, found.size) == (way.removesuffix("_32"), target, size)


def test_a_memory_file_by_a_32_bit_call_is_told(calls, collect):
    source, *_ = reach("memfd_create_32")
    records = collect(calls, lambda records: of(MemoryFile, records, source))
    (found,) = of(MemoryFile, records, source)
    assert (found.name, found.flags) == (b"small", 1)


def test_what_is_repeated_is_added_up_and_told_later(calls, collect):
    source, target, size = reach("many")

    def total(records):
        return sum(found.calls for found in changed(records, source)) == 50

    records = collect(calls, total, seconds=40)
    found = changed(records, source)
    assert len(found) == 2
    assert (found[0].calls, found[1].calls) == (1, 49)
    assert sum(one.size for one in found) == size == 500
    assert {one.target.pid for one in found} == {target}


def test_a_process_that_looks_into_itself_is_not_told(calls, collect):
    source, *_ = reach("into_itself")
    after, *_ = reach("process_vm_readv")
    records = collect(calls, lambda records: looked(records, after))
    assert looked(records, after)
    assert looked(records, source) + changed(records, source) == []


def test_a_child_that_wants_to_be_traced_is_not_told(calls, collect):
    source, *_ = reach("traced_by_its_wish")
    after, *_ = reach("process_vm_readv")
    records = collect(calls, lambda records: looked(records, after))
    assert {r.key.pid for r in looked(records, after)} == {after}
    assert looked(records, source) == []


def test_a_target_has_its_number_of_the_host_also_when_reached_in_a_namespace(calls, collect):
    prefix = ("unshare", "--pid", "--fork", "--mount-proc")
    outer, inner, _ = reach("process_vm_writev", prefix=prefix)
    assert inner < 10  # its number in there

    def found(records):
        return [r for r in records if type(r) is ProcessTampering and r.size == 100]

    records = collect(calls, found)
    one = found(records)[-1]
    assert one.key.pid > outer
    assert one.target.pid > outer
    assert one.target.start > one.key.start


def make(name, flags=os.MFD_CLOEXEC):
    os.close(os.memfd_create(name, flags))


def test_memory_files_of_one_name_and_process_are_told_once_at_first(calls, collect, mark):
    for _ in range(20):
        make(mark)
    make(mark, 0)
    make(f"{mark}-other")
    make(f"{mark}-last")

    def told(records):
        return [r for r in records if type(r) is MemoryFile and r.name.startswith(mark.encode())]

    last = f"{mark}-last".encode()
    records = collect(calls, lambda records: any(r.name == last for r in told(records)))
    found = [(r.name.decode().removeprefix(mark), r.flags, r.files) for r in told(records)]
    assert found == [("", 1, 1), ("", 0, 1), ("-other", 1, 1), ("-last", 1, 1)]
    assert waiting(calls, mark) == [19, 0, 0, 0]


def waiting(sensor, mark):
    """Return how many files of each name of a test have been added up in the kernel."""
    made = sensor.session.parts[1].loaded.maps["memory_files"]
    keys = syscall.keys(made, MEMORY_FILE.size, MOST_MEMORY_FILES)
    values = [MEMORY_FILES.unpack(syscall.lookup(made, key, MEMORY_FILES.size)) for key in keys]
    return sorted((value[3] for value in values if mark.encode() in value[4]), reverse=True)


def test_memory_file_is_told_with_name_and_flags(calls, collect, mark):
    fd = os.memfd_create(mark, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    ino = os.fstat(fd).st_ino
    os.close(fd)

    def made(records):
        return [r for r in records if type(r) is MemoryFile and r.name == mark.encode()]

    records = collect(calls, made)
    (found,) = made(records)
    assert found.key.pid == os.getpid()
    assert found.flags == os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    assert found.ino == ino
