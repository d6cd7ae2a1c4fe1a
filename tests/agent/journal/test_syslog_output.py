from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from deodar.agent.journal.syslog_output import MAXIMUM_BYTES, SyslogOutput, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deodar.agent.journal.record import Record


class Daemon:
    """The end of a log daemon: the socket that it reads from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(5)

    def read(self) -> str:
        return self.socket.recv(65536).decode()

    def stop(self) -> None:
        self.socket.close()
        self.path.unlink()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "log")
    yield made
    if made.path.exists():
        made.stop()


def test_a_line_is_what_the_c_library_would_write(made: Callable[..., Record]) -> None:
    record = made(3, details={"TaskState": "Stopped", "Reason": 'no "such" host\nx', "Empty": ""})
    line = line_of(record).decode()
    pattern = rf"<30>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d deodar-agent\[{os.getpid()}\]: "
    head = re.match(pattern, line)
    assert head
    assert line[head.end() :].startswith("EventType=TaskStateChanged EventId=3 Initiator=Product ")
    assert line.endswith(r'TaskState=Stopped Reason="no \"such\" host?x" Empty=""')


@pytest.mark.parametrize(("level", "priority"), [("Info", 30), ("Warning", 28), ("Critical", 26)])
def test_priorities(level: str, priority: int, made: Callable[..., Record]) -> None:
    assert line_of(made(danger_level=level)).startswith(f"<{priority}>".encode())


def test_a_line_is_bounded_and_stays_valid_text(made: Callable[..., Record]) -> None:
    line = line_of(made(details={f"K{n}": "ä" * 4096 for n in range(4)}))
    assert MAXIMUM_BYTES - 2 < len(line) <= MAXIMUM_BYTES
    line.decode()


def test_the_daemon_may_be_started_again(daemon: Daemon, made: Callable[..., Record]) -> None:
    output = SyslogOutput(str(daemon.path))
    output.send(made(1))
    assert "EventId=1" in daemon.read()
    daemon.stop()
    output.send(made(2))
    assert output.lost == 1
    again = Daemon(daemon.path)
    output.send(made(3))
    assert "EventId=3" in again.read()
    output.close()
    again.socket.close()


def test_a_daemon_that_was_exchanged_is_found_at_once(
    daemon: Daemon, made: Callable[..., Record]
) -> None:
    output = SyslogOutput(str(daemon.path))
    output.send(made(1))
    daemon.stop()
    again = Daemon(daemon.path)
    output.send(made(2))
    assert "EventId=2" in again.read()
    assert output.lost == 0
    output.close()
    again.socket.close()


def test_a_daemon_that_hangs_stops_nobody(daemon: Daemon, made: Callable[..., Record]) -> None:
    output = SyslogOutput(str(daemon.path))
    for number in range(2000):
        output.send(made(number))
    assert output.lost > 0
    while "EventId=0 " not in daemon.read():
        pass
    daemon.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while daemon.read():
            pass
    daemon.socket.settimeout(5)
    output.send(made(5000))
    assert "EventId=5000 " in daemon.read()
    output.close()


@pytest.mark.root
def test_the_host_s_own_log_socket_is_used(made: Callable[..., Record]) -> None:
    """In a mount namespace of its own, so that the host's daemon gets nothing."""
    record = msgspec.json.encode(made(9)).decode()
    program = f"""
import socket, msgspec
from deodar.agent.journal.record import Record
from deodar.agent.journal.syslog_output import SyslogOutput
daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
daemon.bind("/dev/log")
SyslogOutput().send(msgspec.json.decode({record!r}, type=Record))
print(daemon.recv(65536).decode())
"""
    script = 'mount -t tmpfs none /dev && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "EventId=9" in done.stdout, done.stderr
