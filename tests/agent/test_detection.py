from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.agent.detection import Choice, Detection
from deodar.agent.enrich import host
from deodar.agent.loss import LossBook
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.settings import AgentSettings, SpoolSettings
from deodar.agent.spool import Spool
from deodar.agent.tasks.store import SettingsStore
from deodar.events.builders import EventBuilder
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool", SpoolSettings(), LossBook())
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> SettingsStore:
    return SettingsStore(StateDirectory.create(tmp_path / "agent"))


@pytest.fixture
def make(spool: Spool, store: SettingsStore) -> Iterator[Callable[[Choice], Detection]]:
    made: list[Detection] = []

    def detection(choice: Choice) -> Detection:
        settings = AgentSettings(agent_id="a")
        facts = host.collect()
        one = Detection(settings, store, spool, LossBook(), facts, lambda: "127.0.0.1:1", choice)
        made.append(one)
        return one

    yield detection
    for one in made:
        one.stop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_bytes(EventBuilder(3).ndjson(200))
    return path


def test_events_go_into_the_spool_until_it_is_stopped(make, spool: Spool, file: Path, until):
    detection = make(Choice(replay=file, exit_at_end=True))
    detection.start()
    until(lambda: detection.has_ended)
    assert spool.state().events == 200
    detection.stop()
    assert detection.sensor is None
    assert detection.failure == ""


def test_it_can_be_started_again_and_goes_on_where_it_was(make, spool: Spool, file: Path, until):
    detection = make(Choice(replay=file, exit_at_end=True))
    for _ in range(2):
        detection.start()
        until(lambda: detection.has_ended)
        detection.stop()
    assert spool.state().events == 200


def test_closed_gate_lets_nothing_pass(make, spool: Spool, file: Path, until):
    detection = make(Choice(replay=file))
    detection.gate("not now")
    detection.start()
    assert spool.state().events == 0
    detection.gate("")
    until(lambda: spool.state().events == 200)


@pytest.mark.root
def test_sensors_behind_the_one_in_use_are_named(make):
    detection = make(Choice(sensors=("bpf", "proc")))
    assert detection.spare == []
    detection.start()
    assert detection.sensor.name == "bpf"
    assert detection.spare == ["proc"]


def test_sensor_that_does_not_work_is_told_and_nothing_runs(make, tmp_path: Path):
    detection = make(Choice(replay=tmp_path / "missing"))
    with pytest.raises(SensorUnavailable, match="missing"):
        detection.start()
    assert detection.pipeline is None


def test_exclusions_are_compiled_again_only_when_their_settings_change(
    make, store: SettingsStore, file: Path
):
    detection = make(Choice(replay=file))
    trusted = {"UseTrustedPrograms": True, "TrustedPrograms": [{"ProgramPath": "/bin/x"}]}
    store.change("Behavior_Detection", trusted)
    before = detection._compiled()
    assert before is not None
    store.change("KATAEDR", {"RequestTimeout": 3})
    assert detection._compiled() is before
    store.change("Application", {"UseMDR": True})
    assert detection._compiled() is None
