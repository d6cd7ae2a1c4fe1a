"""An agent that hangs holds up nobody: programs start and connect as if it were not there.

The agent's process is stopped by SIGSTOP while its buffers in the kernel are full to the brim: they
are made tiny for that. What does not fit is lost and counted; it is never waited for.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from deodar.agent.sensors import audit_control as control

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root

AGENT = """
import sys
from deodar.agent.sensors import netlink
from deodar.agent.sensors.audit import AuditSensor
from deodar.agent.sensors.bpf import BpfSensor
netlink.RECEIVE_BYTES = 4096
sensor = AuditSensor() if sys.argv[1] == "audit" else BpfSensor(ring_bytes=4096, own_pid=0)
sensor.open()
print("ready", flush=True)
while not sys.stdin.closed:
    sensor.read(0.2)
    print(sensor.counters().lost, flush=True)
"""
COUNT = 150


class Pace(NamedTuple):
    """Seconds that the host's own work took."""

    total: float
    slowest: float


def work() -> Pace:
    """Start programs and make connections; the best of three rounds, but the slowest single one."""
    rounds, slowest = [], 0.0
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(3):
            began = time.monotonic()
            for _ in range(COUNT):
                one = time.monotonic()
                os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
                with socket.create_connection(server.getsockname(), 30), server.accept()[0]:
                    pass
                slowest = max(slowest, time.monotonic() - one)
            rounds.append(time.monotonic() - began)
    return Pace(min(rounds), slowest)


@contextmanager
def agent(tier: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", AGENT, tier]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
        child.send_signal(signal.SIGCONT)
        child.send_signal(signal.SIGTERM)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]


def losses(child: subprocess.Popen[str], enough: int) -> int:
    """Return what the agent counts as lost once it runs again."""
    assert child.stdout is not None
    deadline, lost = time.monotonic() + 20, 0
    while lost < enough and time.monotonic() < deadline:
        lost = int(child.stdout.readline())
    return lost


@pytest.fixture
def clean_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts back what the stopped agents changed."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    limit = control.status().backlog_limit
    yield
    subprocess.run([sys.executable, "-m", "deodar.agent.sensors.cleanup"], check=True)
    control.set_backlog_limit(limit)


@pytest.mark.parametrize("tier", ["bpf", "audit"])
def test_stopped_agent_with_full_buffers_holds_up_nobody(tier: str, clean_kernel: None) -> None:
    alone = work()
    with agent(tier) as child:
        if tier == "audit":
            assert control.status().backlog_wait == 0
            control.set_backlog_limit(1)  # the kernel's own queue is full, too
        child.send_signal(signal.SIGSTOP)
        while state_of(child.pid) != "T":
            time.sleep(0.01)
        hung = work()
        child.send_signal(signal.SIGCONT)
        lost = losses(child, enough=COUNT)
    print(f"{tier}: alone {alone}, with a stopped agent {hung}, lost {lost}")
    assert hung.total < 3 * alone.total + 0.2
    assert hung.slowest < 2
    assert lost >= COUNT
