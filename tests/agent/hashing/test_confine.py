from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from deodar.agent.hashing import confine

TRY = """
import ctypes, errno, json, os, resource, socket, sys
from deodar.agent.hashing import confine
{before}
kept = os.open("/etc/hostname", os.O_RDONLY)
socket.socket(socket.AF_UNIX)
confine.give_up_rights(kept + 1)
confine.give_up_system_calls()

def refused(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""

status = os.pread(kept, 10, 0)
libc = ctypes.CDLL(None, use_errno=True)
attempts = {{
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "create": lambda: os.open("/tmp/new-file", os.O_CREAT | os.O_WRONLY),
    "list": lambda: os.listdir("/"),
    "unlink": lambda: os.unlink("/tmp/no-such-file"),
    "socket": lambda: socket.socket(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "kill": lambda: os.kill(os.getppid(), 0),
    "root": lambda: os.setuid(0),
}}
told = {{name: refused(attempt) for name, attempt in attempts.items()}}
told["read"] = len(status)
told["others"] = refused(lambda: os.fstat(kept + 1))
told["nice"] = os.getpriority(os.PRIO_PROCESS, 0)
told["io"] = libc.syscall(252, 1, 0) if os.uname().machine == "x86_64" else 3 << 13
told["limits"] = [
    resource.getrlimit(one)[1]
    for one in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)
]
told["ids"] = [*os.getresuid(), *os.getresgid(), *os.getgroups()]
print(json.dumps(told), flush=True)
sys.stdin.read()
"""
WITHOUT_SETUID = """
import struct
_libc = ctypes.CDLL(None, use_errno=True)
header = struct.pack("Ii", confine.CAPABILITIES_VERSION_3, 0)
own = ctypes.create_string_buffer(24)
assert _libc.capget(header, own) == 0
_, low, _, _, high, _ = struct.unpack("6I", own)
low &= ~(1 << 6 | 1 << 7)  # CAP_SETGID, CAP_SETUID
assert _libc.capset(header, struct.pack("6I", low, low, 0, high, high, 0)) == 0
"""


def confined(before: str = "") -> tuple[dict[str, object], dict[str, str]]:
    """Return what a confined process says, and what the kernel says of it."""
    command = [sys.executable, "-c", TRY.format(before=before)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        text = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
        lines = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        child.stdin.close()
        assert child.wait(20) == 0
    return told, lines


def test_confined_process_can_read_what_is_open_and_nothing_else() -> None:
    told, status = confined()
    for attempt in ("open", "create", "list", "unlink", "socket", "exec", "fork", "kill"):
        assert told[attempt] == "EPERM", attempt
    assert told["read"] != 0
    assert told["others"] == "EBADF"
    assert told["nice"] == 19
    assert told["io"] == confine.IDLE_CLASS
    assert told["limits"] == [0, 0, confine.DESCRIPTORS]
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to give up")
def test_root_becomes_nobody() -> None:
    told, status = confined()
    assert told["ids"] == [confine.NOBODY] * 6
    assert told["root"] == "EPERM"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to give up")
def test_root_that_may_not_change_its_account_has_no_capability() -> None:
    told, status = confined(WITHOUT_SETUID)
    assert told["ids"][:3] == [0, 0, 0]  # type: ignore[index]
    assert told["open"] == "EPERM"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0


def test_filter_kills_what_comes_from_another_architecture() -> None:
    steps = list(struct.iter_unpack("HBBI", confine.filter_program(0xC000003E, [2, 57])))
    assert run(steps, 0xC000003E, 0) == confine.ALLOWED
    assert run(steps, 0xC000003E, 2) == run(steps, 0xC000003E, 57) == confine.REFUSED
    assert run(steps, 0xC000003E, confine.X32 + 1) == confine.REFUSED
    assert run(steps, 0x40000003, 0) == confine.KILLED


def run(steps: list[tuple[int, int, int, int]], architecture: int, number: int) -> int:
    """Return what a filter decides, as the kernel's interpreter of it does."""
    loaded, index = 0, 0
    while True:
        code, on_true, on_false, value = steps[index]
        index += 1
        if code == confine.LOAD:
            loaded = {0: number, 4: architecture}[value]
        elif code == confine.RETURN:
            return value
        else:
            holds = loaded == value if code == confine.JUMP_IF_EQUAL else loaded >= value
            index += on_true if holds else on_false
