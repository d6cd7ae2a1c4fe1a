from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.detection import Choice
from deodar.agent.enrolled import load
from deodar.agent.hashing.tally import Skip
from deodar.agent.overview import status_of, synchronization_report
from deodar.agent.service import Service
from deodar.agent.status_text import render

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def service(server: Any, tmp_path: Path) -> Iterator[Service]:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"")
    directory = server.enrol(tmp_path / "agent")
    made = Service(directory, load(directory), Choice(replay=file))
    yield made
    made.stop()


def test_status_of_a_service_without_running_tasks_is_whole(service: Service, server: Any) -> None:
    status = status_of(service)
    assert (status.pid, status.sensor, status.uplink.state) == (os.getpid(), None, "stopped")
    assert status.uplink.servers == [status.uplink.server] == [server.url.removeprefix("https://")]
    assert {task.state for task in status.tasks} == {"Stopped"}
    assert render(status, now=status.time, running=True)


def test_status_follows_the_parts(service: Service, server: Any, until: Any) -> None:
    service.start()
    until(lambda: status_of(service).uplink.last_sync)
    service.losses.add(3, "queue", "for a test")
    status = status_of(service)
    assert status.sensor is not None
    assert status.sensor.name == "replay"
    assert status.uplink.state == "connected"
    assert status.losses_by_stage == {"queue": 3}
    assert [(loss.reason, loss.count) for loss in status.losses] == [("for a test", 3)]


def test_what_hashing_left_out_is_told_here_and_to_the_server(service: Service) -> None:
    assert status_of(service).hashes.skipped == {}
    service.start()
    context = service.detection.context
    assert context is not None
    assert context.hasher.facts(None, ["/bin/true"]) is not None
    context.hasher._hashing.tally.add(Skip.FUZZY_BUDGET)
    hashes = status_of(service).hashes
    assert (hashes.misses, hashes.starts) == (1, 1)
    assert 1e6 < hashes.memory_bytes < 20e6
    assert hashes.skipped == {Skip.FUZZY_BUDGET.value: 1}
    assert synchronization_report(service)["status"]["hashes_skipped"] == hashes.skipped
    pid = hashes.pid
    service.detection.stop()
    assert not Path(f"/proc/{pid}").exists()


def test_proxy_is_shown_without_its_password(service: Service) -> None:
    service.tasks_settings.change(
        "Application", {"UseProxy": True, "ProxyServer": "me:secret@127.0.0.1:3128"}
    )
    shown = status_of(service).uplink
    assert shown.proxy == "127.0.0.1:3128"
    assert "secret" not in str(status_of(service))


def test_server_is_told_of_host_tasks_and_losses(service: Service) -> None:
    service.losses.add(3, "queue", "for a test")
    report = synchronization_report(service)
    assert report["host"]["ip"] == "127.0.0.1"
    assert report["host"]["mac"] == ""
    assert report["policy_version"] == 0
    assert [task["name"] for task in report["tasks"]][:2] == ["Behavior_Detection", "KATAEDR"]
    assert report["status"]["losses"] == {"queue": 3}
