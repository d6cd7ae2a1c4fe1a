"""The proc connector's sensor against the real kernel, and its decoder on made-up messages."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.sensors.base import Exec, Exit, Fork
from deodar.agent.sensors.netlink import message
from deodar.agent.sensors.proc_connector import CONNECTOR, EVENT, EXIT, ProcSensor, control

GONE = 2**22 + 5  # above the highest pid a kernel gives


@pytest.fixture
def proc():
    sensor = ProcSensor()
    sensor.open()
    yield sensor
    sensor.close()


def at_pid(records, kind, pid):
    name = "child" if kind is Fork else "key"
    return [r for r in records if isinstance(r, kind) and getattr(r, name).pid == pid]


@pytest.mark.root
def test_fork_without_exec(proc, collect):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    os.waitpid(pid, 0)
    records = collect(proc, lambda seen: at_pid(seen, Exit, pid))
    (fork,) = at_pid(records, Fork, pid)
    (ended,) = at_pid(records, Exit, pid)
    assert (ended.exit_code, ended.signal) == (7, 0)
    assert fork.child == ended.key
    assert fork.parent.pid == os.getpid()
    assert not at_pid(records, Exec, pid)


@pytest.mark.root
def test_marked_process_from_start_to_end(proc, collect, mark):
    code = "import sys; sys.stdin.read(); sys.exit(4)"
    command = [sys.executable, "-c", code, mark]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/usr/lib") as child:
        records = collect(proc, lambda seen: at_pid(seen, Exec, child.pid))
        child.stdin.close()
    records += collect(proc, lambda seen: at_pid(seen, Exit, child.pid))
    (record,) = at_pid(records, Exec, child.pid)
    (ended,) = at_pid(records, Exit, child.pid)
    (fork,) = at_pid(records, Fork, child.pid)
    assert record.argv[-1] == mark.encode()
    assert record.exe == os.path.realpath(sys.executable).encode()
    assert record.cwd == b"/usr/lib"
    assert record.complete
    assert record.parent.pid == fork.parent.pid == os.getpid()
    assert record.pid_ns == Path("/proc/self/ns/pid").stat().st_ino
    assert (ended.exit_code, ended.signal) == (4, 0)
    assert ended.run_time_ns > 0


@pytest.mark.root
def test_short_processes_are_seen_even_if_their_arguments_are_gone(proc, collect):
    pids = []
    for _ in range(50):
        with subprocess.Popen(["/bin/true"]) as child:
            pids.append(child.pid)
    records = collect(proc, lambda seen: at_pid(seen, Exit, pids[-1]))
    for pid in pids:
        (record,) = at_pid(records, Exec, pid)
        (ended,) = at_pid(records, Exit, pid)
        assert record.key == ended.key
        assert record.parent.pid == os.getpid()
        assert record.complete == bool(record.argv)
    assert proc.counters().lost == 0


@pytest.mark.root
def test_process_with_threads_ends_once_when_the_last_one_does(proc, collect):
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(0.3,), daemon=True).start()\n"
        "ctypes.CDLL(None).syscall(60, 9)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        pass
    records = collect(proc, lambda seen: at_pid(seen, Exit, child.pid))
    records += proc.read(0.1)
    assert len(at_pid(records, Exit, child.pid)) == 1
    assert not [r for r in records if isinstance(r, Fork) and r.parent.pid == child.pid]


def event(what, data, *, number, cpu=0):
    body = EVENT.pack(what, cpu, 10**9) + data
    return message(3, CONNECTOR.pack(1, 1, number, 0, len(body), 0) + body)


def exit_of(pid, status, **place):
    return event(EXIT, struct.pack("<6I", pid, pid, status, 17, 1, 1), **place)


def test_gap_in_the_numbers_of_a_cpu_is_loss():
    sensor = ProcSensor()
    messages = [exit_of(GONE, 0, number=n, cpu=cpu) for n, cpu in ((7, 0), (1, 1), (8, 0), (12, 0))]
    assert len(sensor._convert(messages)) == 4
    assert sensor.counters().lost == 3


def test_status_is_split_into_code_and_signal():
    records = ProcSensor()._convert([exit_of(GONE, 0x300, number=1), exit_of(GONE, 9, number=2)])
    assert [(r.exit_code, r.signal, r.complete) for r in records] == [(3, 0, False), (0, 9, False)]


def test_program_of_a_process_that_is_gone_is_marked_incomplete():
    data = struct.pack("<2I", GONE, GONE)
    (record,) = ProcSensor()._convert([event(2, data, number=1)])
    assert (record.key.pid, record.argv, record.complete) == (GONE, [], False)
    assert record.inode is None


def test_control_message_is_what_the_kernel_reads():
    assert control(1) == bytes.fromhex(
        "28000000 0300 0000 01000000 00000000"  # netlink
        "01000000 01000000 00000000 00000000 0400 0000"  # connector
        "01000000"
    )


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_garbage_is_counted(messages):
    sensor = ProcSensor()
    records = sensor._convert(messages)
    counters = sensor.counters()
    assert len(records) + counters.malformed <= len(messages)
    short = [data for data in messages if len(data) < 52]
    assert counters.malformed >= len(short)
