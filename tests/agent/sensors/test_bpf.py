"""The BPF sensor against the real kernel: each process once, with all that exec knew."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

import pytest
from tests.agent.sensors.conftest import waits

from deodar.agent.sensors import bpf as module
from deodar.agent.sensors import syscall
from deodar.agent.sensors.base import Connection, Exec, Exit, Fork, Listen, Lost
from deodar.agent.sensors.bpf import BpfSensor
from deodar.agent.sensors.parts import PARTS

pytestmark = pytest.mark.root
TRUE = "/bin/true"


def marked(records, mark):
    """The execs whose first argument after the program's name is the mark."""
    return [r for r in records if isinstance(r, Exec) and r.argv[1:2] == [mark.encode()]]


def of(records, kind, key):
    """The records of one kind about one process."""
    name = "child" if kind is Fork else "key"
    return [r for r in records if isinstance(r, kind) and getattr(r, name) == key]


def run_one(bpf, collect, mark, command, **options):
    """Run a marked command to its end; returns its exec and all records up to its exit."""
    subprocess.run(command, check=False, **options)

    def ended(records):
        return any(of(records, Exit, r.key) for r in marked(records, mark))

    records = collect(bpf, ended)
    execs = marked(records, mark)
    assert len(execs) == 1, records
    return execs[0], records


def python(code, *arguments):
    return [sys.executable, "-c", code, *arguments]


def test_a_thousand_short_processes_each_once(bpf, collect, mark):
    loop = f'i=0; while [ $i -lt 1000 ]; do {TRUE} "$0" $i; i=$((i+1)); done'
    subprocess.run(["/bin/sh", "-c", loop, mark], check=True)
    records = collect(
        bpf,
        lambda seen: len(marked(seen, mark)) >= 1000 and of(seen, Exit, marked(seen, mark)[-1].key),
    )
    execs = marked(records, mark)
    assert sorted(int(r.argv[2]) for r in execs) == list(range(1000))
    assert len({r.key for r in execs}) == 1000
    for kind, name in ((Fork, "child"), (Exit, "key")):
        keys = [getattr(r, name) for r in records if isinstance(r, kind)]
        assert all(keys.count(r.key) == 1 for r in execs[::97])
    assert len({r.parent for r in execs}) == 1


def test_exec_tells_who_what_and_where(bpf, collect, mark, tmp_path):
    before = time.time_ns()
    record, _ = run_one(bpf, collect, mark, [TRUE, mark, "x"], cwd=tmp_path)
    found = Path(TRUE).stat()
    assert before <= record.time_ns <= time.time_ns()
    assert record.argv == [TRUE.encode(), mark.encode(), b"x"]
    assert not record.argv_truncated
    assert record.exe == os.path.realpath(TRUE).encode()
    assert record.filename == TRUE.encode()
    assert record.cwd == bytes(tmp_path)
    assert record.comm == b"true"
    assert record.parent.pid == os.getpid()
    assert (record.uid, record.gid, record.euid, record.suid) == (0, 0, 0, 0)
    assert record.inode == (
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )  # fmt: skip
    assert record.mode == found.st_mode
    assert not record.deleted
    assert record.mount_ns == Path("/proc/self/ns/mnt").stat().st_ino
    assert record.pid_ns == Path("/proc/self/ns/pid").stat().st_ino
    assert f"{record.caps:016x}" in Path("/proc/self/status").read_text()


def test_start_agrees_with_proc(bpf, collect, mark):
    with subprocess.Popen(["/bin/sleep", "30"]) as child:
        records = collect(bpf, lambda seen: [r for r in seen if at_pid(r, Exec, child.pid)])
        field = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
        child.kill()
    record = next(r for r in records if at_pid(r, Exec, child.pid))
    assert record.key.start // 10_000_000 == int(field)


def at_pid(record, kind, pid):
    return isinstance(record, kind) and record.key.pid == pid


def test_arguments_to_32_kilobytes_are_whole(bpf, collect, mark):
    text = "a" * 30_000
    record, _ = run_one(bpf, collect, mark, [TRUE, mark, text, "", "last"])
    assert record.argv[2:] == [text.encode(), b"", b"last"]
    assert not record.argv_truncated


def test_longer_arguments_are_cut_and_flagged(bpf, collect, mark):
    record, _ = run_one(bpf, collect, mark, [TRUE, mark, *["b" * 9_000] * 10])
    assert record.argv_truncated
    assert 32_000 < sum(len(part) + 1 for part in record.argv) <= 32_768
    assert record.argv[2] == b"b" * 9_000


def test_arguments_keep_their_bytes(bpf, collect, mark):
    odd = [b"two\nlines", b"\xff\xfe\x80", " späces ".encode(), b"\x1b[31m"]
    record, _ = run_one(bpf, collect, mark, [TRUE.encode(), mark.encode(), *odd])
    assert record.argv[2:] == odd


def test_fork_without_exec(bpf, collect):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    os.waitpid(pid, 0)
    records = collect(bpf, lambda seen: [r for r in seen if at_pid(r, Exit, pid)])
    ended = next(r for r in records if at_pid(r, Exit, pid))
    (fork,) = of(records, Fork, ended.key)
    assert (ended.exit_code, ended.signal) == (7, 0)
    assert fork.parent.pid == os.getpid()
    assert 0 < ended.run_time_ns < 10**10
    assert not of(records, Exec, ended.key)


def test_exit_code(bpf, collect, mark):
    record, records = run_one(bpf, collect, mark, ["/bin/false", mark])
    assert [(r.exit_code, r.signal) for r in of(records, Exit, record.key)] == [(1, 0)]


def test_signal_that_ended_a_process(bpf, collect):
    with subprocess.Popen(["/bin/sleep", "30"]) as child:
        child.send_signal(signal.SIGTERM)
    records = collect(bpf, lambda seen: [r for r in seen if at_pid(r, Exit, child.pid)])
    (ended,) = [r for r in records if at_pid(r, Exit, child.pid)]
    assert (ended.exit_code, ended.signal) == (0, signal.SIGTERM)


THREADS = """
import ctypes, sys, threading
libc = ctypes.CDLL(None)
gate = threading.Barrier(21)
def leave():
    gate.wait()
    libc.syscall(60, 5)
for _ in range(20):
    threading.Thread(target=leave, daemon=True).start()
gate.wait()
libc.syscall(60, 9)
"""


def test_threads_are_no_processes_and_the_last_one_ends_it_once(bpf, collect):
    codes = {}
    for _ in range(10):
        with subprocess.Popen(python(THREADS)) as child:
            pass
        codes[child.pid] = child.returncode
    records = collect(bpf, lambda seen: [r for r in seen if at_pid(r, Exit, child.pid)])
    records += bpf.read(0.1)
    for pid, code in codes.items():
        ended = [r for r in records if at_pid(r, Exit, pid)]
        assert [(r.exit_code, r.signal) for r in ended] == [(code, 0)]
        assert not [r for r in records if isinstance(r, Fork) and r.parent.pid == pid]


def test_exec_by_another_thread_keeps_the_process(bpf, collect, mark):
    code = (
        "import os, sys, threading\n"
        f"thread = threading.Thread(target=os.execv, args=({TRUE!r}, [{TRUE!r}, sys.argv[1]]))\n"
        "thread.start()\nthread.join()"
    )
    with subprocess.Popen(python(code, mark)) as child:
        pass
    records = collect(bpf, lambda seen: [r for r in seen if at_pid(r, Exit, child.pid)])
    (record,) = marked(records, mark)
    assert record.key.pid == child.pid
    assert len(of(records, Fork, record.key)) == 1
    assert len(of(records, Exec, record.key)) == 2
    assert [(r.exit_code, r.signal) for r in of(records, Exit, record.key)] == [(0, 0)]


def run_descriptor(descriptor, mark):
    """Run an open file that need not have a name any more."""
    pid = os.fork()
    if pid == 0:
        os.execve(descriptor, ["x", mark], {})
    os.waitpid(pid, 0)


def test_program_that_was_deleted(bpf, collect, mark, tmp_path):
    copy = shutil.copy(TRUE, tmp_path / "gone")
    descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
    Path(copy).unlink()
    run_descriptor(descriptor, mark)
    os.close(descriptor)
    (record,) = marked(collect(bpf, lambda seen: marked(seen, mark)), mark)
    assert record.deleted
    assert record.exe == bytes(tmp_path / "gone")


def test_program_in_memory_only(bpf, collect, mark):
    descriptor = os.memfd_create("payload")
    os.write(descriptor, Path(TRUE).read_bytes())
    run_descriptor(descriptor, mark)
    os.close(descriptor)
    (record,) = marked(collect(bpf, lambda seen: marked(seen, mark)), mark)
    assert record.deleted
    assert record.exe == b"/memfd:payload"


def test_script_shows_interpreter_and_script(bpf, collect, mark, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    subprocess.run([script, mark], check=True)

    def scripts(records):
        return [r for r in records if isinstance(r, Exec) and mark.encode() in r.argv]

    (record,) = scripts(collect(bpf, scripts))
    assert record.exe == os.path.realpath("/bin/sh").encode()
    assert record.filename == bytes(script)
    assert record.argv == [b"/bin/sh", bytes(script), mark.encode()]


def test_setuid_program(bpf, collect, mark):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        program = shutil.copy(TRUE, Path(folder) / "as-root")
        Path(program).chmod(0o4755)
        record, _ = run_one(
            bpf, collect, mark, [program, mark], user=65534, group=65534, extra_groups=[]
        )
    assert (record.uid, record.euid, record.suid) == (65534, 0, 0)
    assert (record.gid, record.egid) == (65534, 65534)
    assert record.mode & 0o4000


def test_deep_folder(bpf, collect, mark, tmp_path):
    deep = tmp_path.joinpath(*[f"folder-{i}" for i in range(40)])
    deep.mkdir(parents=True)
    record, _ = run_one(bpf, collect, mark, [TRUE, mark], cwd=deep)
    assert record.cwd == bytes(deep)


def test_folder_deeper_than_a_path_may_be_is_cut_at_its_head(bpf, collect, mark, tmp_path):
    name = "n" * 250
    code = (
        "import os, sys\n"
        f"for _ in range(30):\n os.mkdir({name!r}); os.chdir({name!r})\n"
        f"os.execv({TRUE!r}, [{TRUE!r}, sys.argv[1]])"
    )
    subprocess.run(python(code, mark), cwd=tmp_path, check=True)
    (record,) = marked(collect(bpf, lambda seen: marked(seen, mark)), mark)
    subprocess.run(["rm", "-rf", tmp_path / name], check=True)
    assert record.cwd.startswith(b".../")
    assert len(record.cwd) >= 4000
    assert set(record.cwd.split(b"/")[1:]) == {name.encode()}
    assert record.argv == [TRUE.encode(), mark.encode()]


def test_path_over_mounts(bpf, collect, mark, tmp_path):
    for part in ("source/sub", "target"):
        (tmp_path / part).mkdir(parents=True)
    code = (
        f"mount --bind {tmp_path}/source {tmp_path}/target && cd {tmp_path}/target/sub "
        f"&& exec {TRUE} {mark}"
    )
    own = Path("/proc/self/ns/mnt").stat().st_ino
    subprocess.run(["unshare", "--mount", "/bin/sh", "-c", code], check=True)
    (record,) = marked(collect(bpf, lambda seen: marked(seen, mark)), mark)
    assert record.cwd == bytes(tmp_path / "target" / "sub")
    assert record.mount_ns != own


def test_process_in_a_pid_namespace_has_its_outer_pid(bpf, collect, mark):
    command = ["unshare", "--pid", "--fork", TRUE, mark]
    record, _ = run_one(bpf, collect, mark, command)
    assert record.key.pid > 1
    assert record.pid_ns not in (0, Path("/proc/self/ns/pid").stat().st_ino)


def test_terminal(bpf, collect, mark):
    leader, follower = os.openpty()
    name = os.ttyname(follower).removeprefix("/dev/")

    def take_terminal():
        fcntl.ioctl(follower, termios.TIOCSCTTY, 0)

    record, _ = run_one(
        bpf, collect, mark, [TRUE, mark], start_new_session=True, preexec_fn=take_terminal
    )
    os.close(leader)
    os.close(follower)
    assert record.tty == name


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_connection_and_its_other_end(bpf, collect, family, host):
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        with socket.create_connection((host, port)) as client, server.accept()[0]:
            local = client.getsockname()[1]

    def about(records):
        return [r for r in records if isinstance(r, Connection) and port in ports(r)]

    records = collect(bpf, lambda seen: len(about(seen)) >= 2)
    (listen,) = [r for r in records if isinstance(r, Listen) and r.local_port == port]
    outbound, inbound = sorted(about(records), key=lambda r: r.direction, reverse=True)
    assert (listen.key.pid, listen.local_ip, listen.family) == (os.getpid(), host, family)
    assert (outbound.direction, inbound.direction) == ("outbound", "inbound")
    assert outbound.key == inbound.key == listen.key
    assert outbound.established
    assert inbound.established
    assert (outbound.local_ip, outbound.local_port) == (host, local)
    assert (outbound.remote_ip, outbound.remote_port) == (host, port)
    assert (inbound.local_ip, inbound.local_port) == (host, port)
    assert (inbound.remote_ip, inbound.remote_port) == (host, local)
    assert {outbound.protocol, inbound.protocol, listen.protocol} == {socket.IPPROTO_TCP}


def ports(record):
    return {record.local_port, record.remote_port}


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_refused_connection(bpf, collect, family, host):
    with socket.socket(family) as unused, socket.socket(family) as client:
        unused.bind((host, 0))  # taken, but nobody listens
        port = unused.getsockname()[1]
        assert client.connect_ex((host, port)) == errno.ECONNREFUSED

    def about(records):
        return [r for r in records if isinstance(r, Connection) and r.remote_port == port]

    (record,) = about(collect(bpf, about))
    assert (record.direction, record.established) == ("outbound", False)
    assert (record.key.pid, record.remote_ip) == (os.getpid(), host)
    assert record.local_port


def test_inbound_connection_to_an_older_listener(collect):
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        sensor = BpfSensor(own_pid=0)
        sensor.open()
        try:
            with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
                pass

            def inbound(records):
                return [
                    r for r in records
                    if isinstance(r, Connection) and r.direction == "inbound" and port in ports(r)
                ]  # fmt: skip

            (record,) = inbound(collect(sensor, inbound))
        finally:
            sensor.close()
    assert record.key.pid == os.getpid()


def test_own_connections_are_not_reported(collect):
    sensor = BpfSensor()
    sensor.open()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
                pass
            code = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
            with subprocess.Popen(python(code)) as child:
                pass

        def about(records):
            return [r for r in records if isinstance(r, Connection) and port in ports(r)]

        records = collect(sensor, about) + sensor.read(0.1)
    finally:
        sensor.close()
    assert [r.key.pid for r in about(records)] == [child.pid]


def test_full_ring_loses_and_counts_exactly():
    sensor = BpfSensor(ring_bytes=4096, parts=PARTS[:1])
    sensor.open()
    try:
        for number in range(200):
            subprocess.run([TRUE, str(number)], check=True)
        loaded = sensor.session.loaded
        while loaded.links:
            os.close(loaded.links.pop())  # nothing new from here on
        records = [r for batch in iter(lambda: sensor.read(0), []) for r in batch]
        counters = sensor.counters()
        generated = sum(made for made, _ in sensor.session.tallies().values())
    finally:
        sensor.close()
    told = [r for r in records if isinstance(r, Lost)]
    assert generated >= 600
    assert counters.lost >= 500
    assert counters.received == len(records) - len(told)
    assert generated == counters.received + counters.lost
    assert {r.stage for r in told} == {"bpf"}


def test_loss_is_told_as_records():
    sensor = BpfSensor(ring_bytes=4096, parts=PARTS[:1])
    sensor.open()
    try:
        for _ in range(50):
            subprocess.run([TRUE], check=True)
        records = sensor.read(0)
    finally:
        sensor.close()
    lost = {r.event: r.count for r in records if isinstance(r, Lost)}
    assert lost.keys() >= {"exec", "fork", "exit"}
    assert all(count > 0 for count in lost.values())


def test_close_leaves_nothing_in_the_kernel():
    before = open_files()
    sensor = BpfSensor()
    sensor.open()
    ids = [syscall.program_info(fd)[0] for fd in sensor.session.loaded.programs.values()]
    assert len(ids) == 4
    assert all(program_exists(number) for number in ids)
    sensor.close()
    assert open_files() == before
    deadline = time.monotonic() + 5
    while any(map(program_exists, ids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(program_exists, ids))
    assert sensor.read(0.0) == []
    sensor.close()


def open_files():
    return {path.name for path in Path("/proc/self/fd").glob("*")}


def program_exists(number):
    try:
        os.close(syscall.bpf(13, struct.pack("<III4x", number, 0, 0))[0])
    except FileNotFoundError:
        return False
    return True


def sleeping(monkeypatch):
    """Take the timers out of the way: only a wake-up by the kernel can end a wait in time."""
    monkeypatch.setattr(module, "TICK", 60.0)
    monkeypatch.setattr(module, "SLEEP", 60.0)
    monkeypatch.setattr(module, "QUIET", 0.0)


def test_exec_on_a_quiet_host_wakes_the_reader(bpf, mark, monkeypatch):
    sleeping(monkeypatch)
    later = threading.Timer(0.5, subprocess.run, args=([TRUE, mark],))
    later.start()
    before = time.monotonic()
    records = []
    while not marked(records, mark) and time.monotonic() - before < 25:
        records += bpf.read(30.0)
    later.join()
    assert time.monotonic() - before < 25


@pytest.mark.parametrize("kind", [Connection, Listen, Fork, Exit])
def test_record_of_every_kind_wakes_the_reader(bpf, monkeypatch, kind):
    """All of one process that runs no program: a fork, a listener, a connection, the end."""
    sleeping(monkeypatch)

    def work():
        if kind in (Fork, Exit):
            child = os.fork()
            if not child:
                time.sleep(0.3 if kind is Exit else 0)
                os._exit(7)
            os.waitpid(child, 0)
            return
        with socket.create_server(("127.0.0.1", 0)) as server:
            if kind is Connection:
                time.sleep(0.3)
                with socket.create_connection(server.getsockname()):
                    pass

    later = threading.Timer(0.3, work)
    later.start()
    before = time.monotonic()
    records = []
    while not any(isinstance(r, kind) for r in records) and time.monotonic() - before < 25:
        records += bpf.read(30.0)
    later.join()
    assert time.monotonic() - before < 25


@pytest.mark.skipif(
    "DEODAR_TEST_PATIENCE" in os.environ, reason="an emulated processor takes longer than a tick"
)
def test_exec_wakes_the_reader_though_its_fork_did_already(bpf, mark):
    """As before other kinds of records could: the delay of an exec is that of a wake-up.

    Looking by the clock alone would be late for half of them. What else the host does makes the
    reader look by the clock, so a busy host gets more than one round.
    """
    rounds = [_delays(bpf, f"{mark}-{number}") for number in range(3)]
    quiet = [delays for delays in rounds if delays]
    if not quiet:
        pytest.skip("this host is too busy: there was no quiet moment to wake the reader from")
    assert any(sorted(delays)[7] < module.TICK / 2 * 1e9 for delays in quiet)


def _delays(bpf, mark) -> list[int]:
    """Return for ten programs, each started after some quiet, how long until it was read (ns).

    Returns [] when the host does not become quiet.
    """
    delays = []
    for number in range(10):
        limit = time.monotonic() + 2
        while bpf.read(0.15):
            if time.monotonic() > limit:
                return []
        later = threading.Timer(0.05, subprocess.run, args=([TRUE, mark, str(number)],))
        later.start()
        found = []
        while not found:
            found = marked(bpf.read(5.0), mark)
            delays += [time.time_ns() - found[0].time_ns] if found else []
        later.join()
    return delays


def test_under_load_the_reader_is_not_woken_but_looks_by_the_clock(bpf):
    stop = threading.Event()

    def load():
        while not stop.is_set():
            os.waitpid(os.posix_spawn(TRUE, [TRUE], {}), 0)

    bpf.read(0.1)
    worker = threading.Thread(target=load)
    worker.start()
    try:
        while not bpf.read(1.0):
            pass
        before, batches = time.monotonic(), 0
        while time.monotonic() - before < 1.0:
            batches += bool(bpf.read(1.0))
    finally:
        stop.set()
        worker.join()
    assert batches <= 2 / module.TICK  # it would be thousands if each exec woke it


def test_quiet_reader_sleeps(bpf):
    loaded = bpf.session.loaded
    while loaded.links:
        os.close(loaded.links.pop())  # this host's other processes are not to disturb
    while bpf.read(0.3):
        pass
    seconds, before = 3 * module.SLEEP, waits()
    assert bpf.read(seconds) == []
    assert waits() - before <= seconds / module.SLEEP + 2


@pytest.mark.parametrize("early", [False, True])
def test_interrupt_ends_a_read(bpf, early):
    loaded = bpf.session.loaded
    while loaded.links:
        os.close(loaded.links.pop())
    while bpf.read(0.3):
        pass
    if early:
        bpf.interrupt()
    else:
        threading.Timer(0.5, bpf.interrupt).start()
    before = time.monotonic()
    assert bpf.read(30.0) == []
    assert time.monotonic() - before < 15
    before = time.monotonic()
    assert bpf.read(0.2) == []
    assert time.monotonic() - before >= 0.2


def test_close_ends_a_read_of_another_thread():
    sensor = BpfSensor()
    sensor.open()
    results = []

    def read_on():
        while True:
            batch = sensor.read(30.0)
            results.append(batch)
            if not batch:
                return

    reader = threading.Thread(target=read_on)
    reader.start()
    sensor.close()
    reader.join(5)
    assert not reader.is_alive()
    assert results[-1] == []


def test_sensor_can_be_opened_again(collect, mark):
    sensor = BpfSensor()
    for _ in range(2):
        sensor.open()
        subprocess.run([TRUE, mark], check=True)
        assert marked(collect(sensor, lambda seen: marked(seen, mark)), mark)
        sensor.close()
    assert isinstance(sensor.counters().received, int)
