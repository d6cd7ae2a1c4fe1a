"""Kinds 19 and 21 to 23: what reaches into other processes and the kernel, files in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(300)]
REACH = """
import ctypes, os, sys
way, pid = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
class Vec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
def stack():
    for line in open(f"/proc/{pid}/maps"):
        if "[stack]" in line:
            return int(line.split("-")[0], 16)
def vec(name):
    buffer = ctypes.create_string_buffer(64)
    here, there = Vec(ctypes.addressof(buffer), 64), Vec(stack(), 64)
    call = getattr(libc, name)
    assert call(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) == 64
def attach():
    assert libc.ptrace(16, pid, None, None) == 0
    os.waitpid(pid, 0)
if way == "ptrace":
    attach()
    libc.ptrace(17, pid, None, None)
elif way == "poke":
    attach()
    at = stack()
    assert libc.ptrace(4, pid, at, 0) == 0
    libc.ptrace(17, pid, None, None)
elif way == "readv":
    vec("process_vm_readv")
elif way == "writev":
    vec("process_vm_writev")
elif way == "mem":
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(stack())
        memory.write(b"x")
elif way == "look":
    open(f"/proc/{pid}/status").read()
    os.kill(pid, 0)
"""
MEMORY = """
import os, sys
memory = os.memfd_create(sys.argv[1])
os.write(memory, open("/bin/true", "rb").read())
os.set_inheritable(memory, True)
os.execve(memory, ["hidden", sys.argv[1]], {})
"""


@pytest.fixture
def victim(mark):
    """A process that waits, and bears the mark."""
    process = subprocess.Popen(["/bin/sh", "-c", f"read x; : victim {mark}"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def reach(way: str, pid: int, mark: str) -> None:
    subprocess.run([sys.executable, "-c", REACH, way, str(pid), mark], check=True)


def about(mark: str, way: str) -> tuple[str, str]:
    return f"DeviceCustomString4 LIKE '%{mark}%'", f"DeviceAction = '{way}'"


def test_looking_into_a_process(watched, mark, victim, kind):
    reach("ptrace", victim.pid, mark)
    reach("readv", victim.pid, mark)
    for way in ("ptrace_attach", "process_vm_readv"):
        row = watched.row("process_access", *about(mark, way))
        assert int(row["DeviceProcessID"]) == victim.pid
        assert f"victim {mark}" in dict(row["Extra"])["TargetStartupParameters"]
        assert row["DestinationProcessName"] == os.path.realpath(sys.executable)
    kind(21, "ptrace attach and process_vm_readv, by a program of our own")


def test_changing_a_process(watched, mark, victim, kind):
    reach("writev", victim.pid, mark)
    reach("poke", victim.pid, mark)
    seen = []
    for way in ("process_vm_writev", "ptrace_poke"):
        row = watched.row("process_tampering", *about(mark, way))
        assert int(row["DeviceProcessID"]) == victim.pid
        seen.append(way)
    kind(22, ", ".join(seen))


def test_looking_at_what_everybody_may_see_is_no_access(watched, mark, victim):
    reach("look", victim.pid, mark)
    assert watched.none("process_access", f"DeviceCustomString4 LIKE '%{mark}%'")
    assert watched.none("process_tampering", f"DeviceCustomString4 LIKE '%{mark}%'")


def test_a_file_in_memory_and_its_execution(watched, mark, kind):
    subprocess.run([sys.executable, "-c", MEMORY, mark], check=True)
    row = watched.row("memoryfile", f"OldFileName = '{mark}'")
    assert row["DestinationProcessName"] == os.path.realpath(sys.executable)
    run = watched.row("process", f"DeviceCustomString4 LIKE 'hidden {mark}%'")
    assert dict(run["Extra"])["FileMemoryBacked"] == "1"
    held = os.memfd_create(f"{mark}-2")
    os.close(held)
    watched.row("memoryfile", f"OldFileName = '{mark}-2'")
    kind(23, "memfd_create, and execution from it, marked")


def test_a_temporary_file_is_not_in_memory(watched, mark, tmp_path):
    code = "import sys, tempfile; tempfile.TemporaryFile().write(b'x')"
    subprocess.run([sys.executable, "-c", code, mark], check=True)
    assert watched.none("memoryfile", f"DeviceCustomString4 LIKE '%{mark}%'")


def test_bpf_maps_and_programs(watched, mark, kind, tmp_path):
    tool = shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin")
    if tool is None:
        pytest.skip("needs bpftool")
    name = mark[:15]
    code = (
        "import ctypes, struct\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"attr = struct.pack('<5I', 2, 4, 8, 3, 0).ljust(28, b'\\0') + b'{name[:14]}'\n"
        "attr = ctypes.create_string_buffer(attr.ljust(128, b'\\0'), 128)\n"
        "assert libc.syscall(321, 0, attr, 128) >= 0, ctypes.get_errno()\n"
    )
    subprocess.run([sys.executable, "-c", code, mark], check=True)
    made = watched.row("bpf", f"DeviceCustomString4 LIKE '%{mark}%'", "DeviceAction = 'map_create'")
    assert made["DeviceCustomString5"] == "array"
    with contextlib.ExitStack() as ends:
        pin = f"/sys/fs/bpf/{mark}"
        if not os.path.ismount("/sys/fs/bpf"):
            subprocess.run(["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"], check=True)
            ends.callback(subprocess.run, ["umount", "/sys/fs/bpf"], check=False)
        words = ["type", "hash", "key", "4", "value", "4", "entries", "2", "name", name]
        subprocess.run([tool, "map", "create", pin, *words], check=True)
        ends.callback(os.unlink, pin)
        row = watched.row("bpf", f"DeviceCustomString6 = '{name}'")
        assert row["DeviceCustomString5"] == "hash"
        assert row["DestinationProcessName"].endswith("/bpftool")
    kind(19, "a map by the system call alone, and one by bpftool")


def test_listing_programs_brings_nothing_into_the_kernel(watched, mark):
    tool = shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin")
    if tool is None:
        pytest.skip("needs bpftool")
    subprocess.run(["/bin/sh", "-c", f"{tool} map list; : {mark}"], check=True, capture_output=True)
    parent = watched.row("process", f"DeviceCustomString4 LIKE '%: {mark}%'")["FlexString2"]
    assert watched.none("bpf", f"FlexString1 = '{parent}'", "DeviceAction = 'map_create'")
