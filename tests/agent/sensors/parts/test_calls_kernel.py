"""eBPF against the real kernel; modules from bytes, since this kernel may have none.

Modules are loaded for real in tests/kernels.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deodar.agent.sensors import syscall
from deodar.agent.sensors.acts import BpfUse
from deodar.agent.sensors.base import FileIdentity, ProcessKey
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.bpf_types import MAPS, PROGRAMS
from deodar.agent.sensors.errors import MalformedRecord
from deodar.agent.sensors.parts import PARTS
from deodar.agent.sensors.parts.calls import decode
from deodar.agent.sensors.parts.calls_kernel import KINDS, MODULE

HASH, SOCKET_FILTER, PERF_EVENT, CGROUP_SKB, RAW_TRACEPOINT = 1, 1, 7, 8, 17
EGRESS, ATTACH, DETACH, LINK_CREATE, LINK_UPDATE = 1, 8, 9, 28, 29
RETURN_1 = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0)
SET_BPF = 0x40042408
REACHING = str(Path(__file__).parent.parent / "reaching.py")
MAP_NUMBERS = {name: number for number, name in MAPS.items()}
PROGRAM_NUMBERS = {name: number for number, name in PROGRAMS.items()}


def test_its_numbers_are_its_own() -> None:
    assert all(34 <= kind < 40 for kind in KINDS)


def create_map(name, extra=0):
    """`extra` bytes of attributes that the kernel must find empty."""
    attributes = struct.pack("<IIIIIII16s", HASH, 4, 8, 16, 0, 0, 0, name)
    return syscall.bpf(syscall.MAP_CREATE, attributes + bytes(extra))[0]


def load(kind, name):
    code, license_ = syscall.buffer(RETURN_1), syscall.buffer(b"GPL\0")
    attributes = struct.pack(
        "<IIQQIIQII16s", kind, len(RETURN_1) // 8, syscall.address(code),
        syscall.address(license_), 0, 0, 0, 0, 0, name,
    )  # fmt: skip
    return syscall.bpf(syscall.PROG_LOAD, attributes)[0]


@pytest.fixture
def told(calls, collect):
    """Read until so many records of the eBPF of a test have come, and return them all."""

    def read(number):
        def own(records):
            mine = [r for r in records if type(r) is BpfUse and r.key.pid == os.getpid()]
            return [r for r in mine if r.name.startswith(b"try_")]

        return own(collect(calls, lambda records: len(own(records)) >= number))

    return read


@pytest.fixture
def cgroup():
    """An empty control group that nothing else is in."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    roots = [fields[1] for fields in mounts if fields[2] == "cgroup2"]
    if not roots:
        pytest.skip("no cgroup2 is mounted")
    folder = tempfile.mkdtemp(prefix="deodar-", dir=roots[0])
    descriptor = os.open(folder, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)
    Path(folder).rmdir()


@pytest.mark.root
@pytest.mark.parametrize("extra", [0, 3, 400])
def test_a_map_is_told_whatever_the_size_of_the_attributes(told, extra):
    os.close(create_map(b"try_map", extra))
    (found,) = told(1)
    assert (found.command, found.type, found.name) == ("map_create", "hash", b"try_map")
    assert found.kind == MAP_NUMBERS["hash"]
    assert found.id > 0


@pytest.mark.root
@pytest.mark.parametrize("kind", ["socket_filter", "perf_event", "raw_tracepoint", "cgroup_skb"])
def test_a_program_is_told_with_type_name_and_number(told, kind):
    program = load(PROGRAM_NUMBERS[kind], b"try_prog")
    number, *_ = syscall.program_info(program)
    os.close(program)
    (found,) = told(1)
    assert (found.command, found.type, found.name) == ("program_load", kind, b"try_prog")
    assert found.id == number


@pytest.mark.root
def test_a_map_made_by_a_32_bit_call_is_told(calls, collect):
    command = [sys.executable, REACHING, "bpf_32", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        if process.wait(30) == -signal.SIGSEGV:
            pytest.skip("this kernel takes no 32-bit system calls (CONFIG_IA32_EMULATION)")

    def made(records):
        return [r for r in records if type(r) is BpfUse and r.key.pid == process.pid]

    (found,) = made(collect(calls, made))
    assert (found.command, found.type, found.name) == ("map_create", "hash", b"try_small")


@pytest.mark.root
def test_what_the_kernel_refuses_is_not_told(told):
    with pytest.raises(OSError):
        load(63, b"try_no_type")
    with pytest.raises(OSError):
        syscall.bpf(syscall.MAP_CREATE, struct.pack("<IIII", HASH, 0, 0, 0))
    os.close(create_map(b"try_after"))
    assert [found.name for found in told(1)] == [b"try_after"]


@pytest.mark.root
def test_a_program_on_a_tracepoint_is_told_as_attached(told):
    program = load(RAW_TRACEPOINT, b"try_raw")
    name = syscall.buffer(b"sched_process_exit\0")
    link, _ = syscall.bpf(
        syscall.RAW_TRACEPOINT_OPEN, struct.pack("<QI4x", syscall.address(name), program)
    )
    os.close(link)
    os.close(program)
    loaded, attached = told(2)
    assert (attached.command, attached.type) == ("attach", "raw_tracepoint")
    assert (attached.name, attached.id) == (b"try_raw", loaded.id)


@pytest.mark.root
def test_a_program_on_a_control_group_is_told_as_attached_in_both_ways(told, cgroup):
    program = load(CGROUP_SKB, b"try_skb")
    link, _ = syscall.bpf(LINK_CREATE, struct.pack("<IIII", program, cgroup, EGRESS, 0))
    os.close(link)
    syscall.bpf(ATTACH, struct.pack("<III", cgroup, program, EGRESS))  # no flags: 12 bytes
    syscall.bpf(DETACH, struct.pack("<III", cgroup, program, EGRESS))
    os.close(program)
    loaded, linked, attached = told(3)
    assert (linked.command, linked.type) == ("attach", "cgroup")
    assert (attached.command, attached.type) == ("attach", "cgroup_inet_egress")
    assert {found.name for found in (loaded, linked, attached)} == {b"try_skb"}
    assert loaded.id == linked.id == attached.id > 0


@pytest.mark.root
def test_a_program_that_takes_anothers_place_is_told_as_attached(told, cgroup):
    first, second = load(CGROUP_SKB, b"try_first"), load(CGROUP_SKB, b"try_second")
    link, _ = syscall.bpf(LINK_CREATE, struct.pack("<IIII", first, cgroup, EGRESS, 0))
    syscall.bpf(LINK_UPDATE, struct.pack("<IIII", link, second, 0, 0))
    for descriptor in (link, first, second):
        os.close(descriptor)
    *_, linked, updated = told(4)
    assert (linked.command, linked.type, linked.name) == ("attach", "cgroup", b"try_first")
    assert (updated.command, updated.type, updated.name) == ("attach", "cgroup", b"try_second")


@pytest.mark.root
def test_a_program_on_a_socket_is_told_as_attached(told):
    program = load(SOCKET_FILTER, b"try_filter")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 50, struct.pack("<I", program))  # SO_ATTACH_BPF
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    os.close(program)
    loaded, attached = told(2)
    assert (attached.command, attached.type) == ("attach", "socket (socket_filter)")
    assert (attached.name, attached.id) == (b"try_filter", loaded.id)


@pytest.mark.root
def test_a_program_on_a_perf_event_is_told_as_attached(told):
    program = load(PERF_EVENT, b"try_perf")
    attributes = syscall.buffer(struct.pack("<IIQQ", 1, 128, 0, 1000).ljust(128, b"\0"))
    event = ctypes.CDLL(None).syscall(298, attributes, 0, -1, -1, 0)
    assert event >= 0
    fcntl.ioctl(event, SET_BPF, program)
    os.close(event)
    os.close(program)
    loaded, attached = told(2)
    assert (attached.command, attached.type) == ("attach", "perf_event (perf_event)")
    assert (attached.name, attached.id) == (b"try_perf", loaded.id)


@pytest.mark.root
def test_a_program_names_the_tracepoint_that_it_is_made_for(calls, collect):
    code = (
        "from deodar.agent.sensors.bpf import BpfSensor\n"
        "from deodar.agent.sensors.parts.core import CORE\n"
        "sensor = BpfSensor(parts=(CORE,)); sensor.open(); sensor.close()"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        assert process.wait(60) == 0

    def attached(records):
        return {
            r.target: r.name
            for r in records
            if type(r) is BpfUse and r.key.pid == process.pid and r.command == "attach"
        }

    records = collect(calls, lambda records: len(attached(records)) >= 4)
    assert attached(records) == {
        b"sched_process_exec": b"deodar_exec",
        b"sched_process_fork": b"deodar_fork",
        b"sched_process_exit": b"deodar_exit",
        b"inet_sock_set_state": b"deodar_socket",
    }


@pytest.mark.root
def test_the_agent_does_not_tell_of_its_own_programs(collect, mark):
    sensor = BpfSensor(parts=PARTS)
    sensor.open()
    try:
        code = f"import os; os.memfd_create('{mark}')"
        subprocess.run([sys.executable, "-c", code], check=True)
        records = collect(
            sensor, lambda records: [r for r in records if getattr(r, "name", b"") == mark.encode()]
        )
    finally:
        sensor.close()
    assert [r for r in records if type(r) is BpfUse and r.key.pid == os.getpid()] == []


def module_record(operation=1, names=b"snd.ko\0sound\0lib\0", name=b"", ino=7, cut=0):
    head = (34, 0, 5, 11, 1000)
    row = (ino, 100, 20, 30, 8 << 20 | 1, 0o100644, operation, len(names), cut, name)
    return MODULE.pack(*head, *row) + names


def test_a_module_from_a_file_has_its_path_and_the_file_itself():
    data = module_record()
    record = decode(data, 0, len(data), 500)
    assert (record.time_ns, record.key) == (1500, ProcessKey(5, 11))
    assert (record.operation, record.name, record.path) == ("load", b"", b"/lib/sound/snd.ko")
    assert record.identity == FileIdentity(os.makedev(8, 1), 7, 100, 20, 30)


def test_a_module_from_memory_has_no_path():
    data = module_record(names=b"", ino=0)
    record = decode(data, 0, len(data), 0)
    assert (record.path, record.identity, record.from_memory) == (b"", None, False)


def test_a_module_that_its_loader_unpacked_is_marked():
    data = bytearray(module_record())
    data[2] = 1  # the flags
    record = decode(bytes(data), 0, len(data), 0)
    assert (record.path, record.from_memory) == (b"/lib/sound/snd.ko", True)


def test_a_module_that_is_unloaded_has_its_name():
    data = module_record(2, b"", b"snd", 0)
    record = decode(data, 0, len(data), 0)
    assert (record.operation, record.name) == ("unload", b"snd")


@pytest.mark.parametrize("data", [module_record(3), module_record()[:-1], module_record() + b"x"])
def test_an_odd_record_of_a_module_is_refused(data):
    with pytest.raises(MalformedRecord):
        decode(data, 0, len(data), 0)
