from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.agent.small_agent import status as made

from deodar.agent import status
from deodar.agent.certificates import CertificateFacts
from deodar.agent.enrich.proc import live_process
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path)


def test_what_was_written_is_read(directory: StateDirectory) -> None:
    told = made(
        sensor=status.SensorStatus("bpf", "eBPF", [status.RefusedSensor("audit", "no")], ["do"]),
        tasks=[status.TaskStatus(24, "KATAEDR", "KATAEDR", "Started")],
        certificates=status.CertificatesStatus([CertificateFacts(kind="server")], ["soon"]),
        losses=[status.LossStatus("spool", "full", 5)],
    )
    status.write(directory, told)
    assert status.read(directory) == told
    assert [path.name for path in directory.path.iterdir()] == [status.FILE]


def test_no_status_or_a_damaged_one_is_none(directory: StateDirectory) -> None:
    assert status.read(directory) is None
    for content in (b'{"time": ', b"{}", b"\xff", b"[" * 100):
        (directory.path / status.FILE).write_bytes(content)
        assert status.read(directory) is None


def test_running_is_told_from_a_later_process_of_the_same_number() -> None:
    assert made().is_running()
    assert not made(process_start=status.own_start() + 10_000_000).is_running()
    child = subprocess.Popen(["true"])
    live = live_process(child.pid)
    child.wait()
    assert live is not None
    assert not made(pid=child.pid, process_start=live.key.start).is_running()


def test_status_survives_the_control_socket() -> None:
    told = made(sensor=status.SensorStatus("bpf", "eBPF"))
    wire = json.loads(json.dumps(status.as_dict(told, running=True)))
    assert wire["running"] is True
    assert wire["sensor"]["name"] == "bpf"
    assert status.from_wire(wire) == told
    with pytest.raises(msgspec.ValidationError):
        status.from_wire({"time": "x"})


def test_memory_is_that_of_all_processes_together(until: Callable[..., Any]) -> None:
    own = status.memory_of(os.getpid())
    assert 5_000_000 < own < 2_000_000_000
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        until(lambda: status.memory_of(other.pid) > 2_000_000)
        both = status.memory_of(os.getpid(), other.pid, None)
        assert both > own + 1_000_000
        other.communicate(b"\n")
    assert status.memory_of(other.pid) == 0
