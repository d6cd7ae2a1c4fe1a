"""What /proc tells about live and gone processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deodar.agent.sensors import procfs
from deodar.agent.sensors.base import UNKNOWN_PROCESS, Exec, ProcessKey
from deodar.agent.sensors.procfs import Keys, cgroup_id, fill, host_pid, read_stat, terminal_name

GONE = 2**22 + 5


def test_stat_of_this_process():
    stat = read_stat(os.getpid())
    assert stat.key.pid == os.getpid()
    assert stat.parent == os.getppid()
    assert stat.threads >= 1
    assert stat.comm == Path("/proc/self/comm").read_bytes().strip()


def test_stat_of_a_name_with_brackets_and_spaces(tmp_path):
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "30"]) as child:
        stat = read_stat(child.pid)
        child.kill()
    assert stat.comm == b"a) R 1 (b"
    assert stat.parent == os.getpid()


def test_stat_of_a_process_that_is_gone():
    assert read_stat(GONE) is None


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, ""),
        (0x8800 | 3, "pts/3"),
        (0x8900 | 1, "pts/257"),
        (0x0401, "tty1"),
        (0x0440, "ttyS0"),
        (0x0501, "console"),
        (0xFF00, ""),
    ],
)
def test_terminal_names(number, name):
    assert terminal_name(number) == name


def test_fill_from_a_live_process():
    code = "import sys; sys.stdin.read()"
    command = [sys.executable, "-c", code, "x y"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/usr/lib") as child:
        while b"x y" not in Path(f"/proc/{child.pid}/cmdline").read_bytes():
            assert child.poll() is None
        record = Exec(0, ProcessKey(child.pid, 1), UNKNOWN_PROCESS, [])
        fill(record)
        child.stdin.close()
    found = Path(sys.executable).stat()
    assert record.complete
    assert record.argv == [part.encode() for part in command]
    assert record.exe == os.path.realpath(sys.executable).encode()
    assert record.cwd == b"/usr/lib"
    assert (record.uid, record.euid, record.gid) == (os.getuid(), os.geteuid(), os.getgid())
    assert record.inode.ino == found.st_ino
    assert (record.mode, record.deleted) == (found.st_mode, False)
    assert record.mount_ns == Path("/proc/self/ns/mnt").stat().st_ino


def test_fill_keeps_what_is_there_when_the_process_is_gone():
    record = Exec(
        0, ProcessKey(GONE, 1), UNKNOWN_PROCESS, [b"x"], exe=b"/bin/true", cwd=b"/", uid=7
    )
    fill(record)
    assert not record.complete
    assert (record.argv, record.exe, record.cwd, record.uid) == ([b"x"], b"/bin/true", b"/", 7)
    assert record.inode.ino == Path("/bin/true").stat().st_ino


def test_fill_knows_a_program_in_memory_alive_or_gone():
    descriptor = os.memfd_create("hidden", 0)
    os.write(descriptor, Path("/bin/sleep").read_bytes())
    program = f"/proc/self/fd/{descriptor}"
    with subprocess.Popen(["sleep", "60"], executable=program, pass_fds=[descriptor]) as child:
        alive = Exec(0, ProcessKey(child.pid, 1), UNKNOWN_PROCESS, [])
        fill(alive)
        child.kill()
    os.close(descriptor)
    assert (alive.exe, alive.in_memory, alive.deleted) == (b"/memfd:hidden", True, True)
    gone = Exec(0, ProcessKey(GONE, 1), UNKNOWN_PROCESS, [], exe=b"/memfd:hidden (deleted)")
    fill(gone)
    assert (gone.exe, gone.in_memory) == (b"/memfd:hidden", True)


def test_fill_without_anything_finds_nothing():
    record = Exec(0, ProcessKey(GONE, 1), UNKNOWN_PROCESS, [])
    fill(record)
    assert (record.inode, record.exe, record.complete) == (None, b"", False)


def test_keys_stay_the_same_until_the_end():
    keys = Keys()
    first = keys.of(GONE, None, 1234)
    assert first == ProcessKey(GONE, 1234)
    assert keys.of(GONE, None, 5678) == first
    keys.note_parent(GONE, ProcessKey(1, 2))
    assert keys.parent(GONE) == (1, 2)
    assert keys.end(GONE) == first
    assert keys.end(GONE) is None
    assert keys.parent(GONE) == UNKNOWN_PROCESS
    assert keys.of(GONE, None, 5678) == ProcessKey(GONE, 5678)
    assert keys.of(0, None, 1) == UNKNOWN_PROCESS


def test_keys_are_bounded(monkeypatch):
    monkeypatch.setattr(procfs, "MOST_KEYS", 3)
    keys = Keys()
    for pid in range(1, 6):
        keys.of(pid, None, pid)
    assert [keys.end(pid) is not None for pid in range(1, 6)] == [False, False, True, True, True]


def test_cgroup_of_this_process():
    if procfs.cgroup_root() is None:
        pytest.skip("no cgroup2 hierarchy is mounted")
    assert cgroup_id(b"/") > 0
    assert cgroup_id(b"/no such group") == 0


def test_a_number_means_the_process_of_a_thread_in_the_same_namespace():
    with subprocess.Popen(["sleep", "60"]) as child:
        assert host_pid(os.getpid(), child.pid) == child.pid
        child.kill()
    assert host_pid(os.getpid(), threading.get_native_id()) == os.getpid()
    assert host_pid(GONE, GONE) == GONE


@pytest.mark.root
def test_a_number_of_another_namespace_is_found_out():
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]
    script = "sleep 60 & grep NSpid /proc/$!/status; wait"
    with subprocess.Popen([*command, script], stdout=subprocess.PIPE, text=True) as outer:
        inside = int(outer.stdout.readline().split()[-1])
        (shell,) = children(outer.pid)
        sleeper = children(shell)[0]
        assert host_pid(shell, inside) == sleeper
        assert host_pid(shell, 4_000_000) == 0
        outer.kill()


def children(pid):
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
