from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from deodar.agent import status
from deodar.agent.enrich.proc import live_process
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from pathlib import Path

DATES = status.CertificateDates("2026-01-01", "2027-01-01")


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path)


def made(**changes: object) -> status.AgentStatus:
    plain = status.AgentStatus(
        time=1000.0,
        started=400.0,
        pid=os.getpid(),
        process_start=status.own_start(),
        version="1.2.3",
        agent_id="agent-7",
        server="https://edr:9443",
        memory_bytes=50_000_000,
        sensor=status.SensorStatus("bpf", "eBPF", received=12),
        pipeline=status.PipelineStatus(events=12),
        spool=status.SpoolStatus(packets=2, events=5, bytes=2_000_000),
        uplink=status.UplinkStatus("connected", last_contact=995.0, events=7),
    )
    return msgspec.structs.replace(plain, **changes)


def test_what_was_written_is_read(directory: StateDirectory) -> None:
    status.write(directory, made())
    assert status.read(directory) == made()
    assert [path.name for path in directory.path.iterdir()] == [status.FILE]


def test_no_status_or_a_damaged_one_is_none(directory: StateDirectory) -> None:
    assert status.read(directory) is None
    (directory.path / status.FILE).write_bytes(b'{"time": ')
    assert status.read(directory) is None


def test_running_is_told_from_a_later_process_of_the_same_number() -> None:
    assert made().is_running()
    assert not made(process_start=status.own_start() + 10_000_000).is_running()
    child = subprocess.Popen(["true"])
    live = live_process(child.pid)
    child.wait()
    assert live is not None
    assert not made(pid=child.pid, process_start=live.key.start).is_running()


def test_text_tells_the_main_things() -> None:
    text = status.render(made(), DATES, 1000.0)
    assert f"running (pid {os.getpid()}, for 10 min)" in text
    assert "https://edr:9443: connected, last contact 5 s ago" in text
    assert "bpf (eBPF), 12 received, 0 lost" in text
    assert "12 made, 7 delivered" in text
    assert "5 events in 2 packets (2.0 MB)" in text
    assert "lost         none" in text
    assert "50.0 MB" in text
    assert "valid from 2026-01-01 to 2027-01-01" in text


def test_text_tells_what_is_wrong() -> None:
    refused = [status.RefusedSensor("bpf", "no BTF in this kernel")]
    text = status.render(
        made(
            sensor=status.SensorStatus("proc", "processes", refused),
            uplink=status.UplinkStatus("refused", problem="enrol it again", dead_events=3),
            spool=status.SpoolStatus(disk_error="No space left on device"),
            losses={"spool": 5, "queue": 1},
            pid=4_100_000,
        ),
        DATES,
        1000.0,
    )
    assert "not running" in text
    assert "bpf: no BTF in this kernel" in text
    assert "refused, never reached" in text
    assert "enrol it again" in text
    assert "No space left on device" in text
    assert "1 in queue, 5 in spool" in text
    assert "3 events" in text


def test_json_has_every_value_and_whether_it_runs() -> None:
    data = json.loads(status.as_json(made(), DATES))
    assert data["running"] is True
    assert data["uplink"]["events"] == 7
    assert data["sensor"]["name"] == "bpf"
    assert data["certificate"] == {"begin": "2026-01-01", "end": "2027-01-01"}


def test_own_memory_is_plausible() -> None:
    assert 5_000_000 < status.own_memory() < 2_000_000_000
