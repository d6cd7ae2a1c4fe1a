"""Kinds 1 and 2: processes that start, fork and end."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(300)]
TERMINAL_NUMBER = 0x80045430
"""TIOCGPTN"""
FORK = """
import os, time
child = os.fork()
if not child:
    time.sleep(2)
    os._exit(9)
print(child, flush=True)
os.waitpid(child, 0)
"""


def test_a_process_is_told_with_all_that_the_kernel_knows(watched, mark, kind, tmp_path):
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    subprocess.run(["/bin/echo", mark, "two words"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run(["/bin/sh", "-c", f"exec /bin/true {mark} replaced"], check=True, **nobody)
    row = watched.row("process", f"DeviceCustomString4 LIKE '%{mark} ''two words''%'")
    extra = dict(row["Extra"])
    assert row["DestinationProcessName"].endswith("/echo")
    assert extra["WorkingDirectory"] == str(tmp_path)
    assert (extra["RealUid"], extra["EffectiveUid"]) == ("0", "0")
    assert int(row["SourceProcessID"]) == os.getpid()
    assert len(row["FlexString1"]) == len(row["FlexString2"]) == 36
    assert len(row["FileHash"]) == 32
    assert len(row["DeviceCustomString2"]) == 64
    replaced = watched.row("process", f"DeviceCustomString4 LIKE '%true {mark} replaced%'")
    assert dict(replaced["Extra"])["RealUid"] == "65534"
    assert replaced["SourceUserName"] == "nobody"
    kind(1, "a program started by posix_spawn, and one by exec in a shell of another account")


def test_a_terminal_is_told(watched, mark):
    child, terminal = pty.fork()
    if not child:
        os.execv("/bin/echo", ["/bin/echo", mark])
    (number,) = struct.unpack("i", fcntl.ioctl(terminal, TERMINAL_NUMBER, bytes(4)))
    os.waitpid(child, 0)
    os.close(terminal)
    row = watched.row("process", f"DeviceCustomString4 LIKE '%{mark}%'")
    assert dict(row["Extra"])["Tty"] == f"pts/{number}"


def test_a_fork_without_a_program_is_told_and_its_end(watched, mark, kind):
    command = [sys.executable, "-c", FORK, mark]
    child = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    fork = watched.row("process_fork", f"DestinationProcessID = {child}",
                       f"DeviceCustomString4 LIKE '%{mark}%'")  # fmt: skip
    end = watched.row("process_terminate", f"DestinationProcessID = {child}",
                      f"DeviceCustomString4 LIKE '%{mark}%'")  # fmt: skip
    assert fork["FlexString2"] == end["FlexString2"]  # the same process
    assert dict(end["Extra"])["ExitCode"] == "9"
    assert int(dict(end["Extra"])["RunTimeUs"]) > 1_900_000
    kind(1, "a fork that never runs a program")
    kind(2, "its end, with exit code and run time")


def test_an_end_by_exit_and_one_by_a_signal(watched, mark, kind):
    subprocess.run(["/bin/sh", "-c", f": {mark}; exit 7"], check=False)
    waits = ["/bin/sh", "-c", f"read x; : killed {mark}"]
    killed = subprocess.Popen(waits, stdin=subprocess.PIPE)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    ended = watched.row("process_terminate", f"DeviceCustomString4 LIKE '%: {mark}; exit 7%'")
    assert dict(ended["Extra"])["ExitCode"] == "7"
    row = watched.row("process_terminate", f"DestinationProcessID = {killed.pid}",
                      f"DeviceCustomString4 LIKE '%killed {mark}%'")  # fmt: skip
    assert dict(row["Extra"])["ExitSignal"] == "9"
    assert "ExitCode" not in dict(row["Extra"])
    kind(2, "exit code 7, and SIGKILL")


def test_threads_are_no_processes(watched, mark):
    code = "import threading; t = threading.Thread(target=print); t.start(); t.join()"
    subprocess.run([sys.executable, "-c", code, mark], check=True, capture_output=True)
    about = f"DeviceCustomString4 LIKE '%{mark}%'"
    assert watched.none("process_fork", about)
    assert len(watched.rows("process", about)) == 1
    assert len(watched.rows("process_terminate", about)) == 1
