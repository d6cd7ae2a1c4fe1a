from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import zstandard

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
def make(spool: Spool, store: SettingsStore) -> Iterator[Callable[..., Detection]]:
    made: list[Detection] = []

    def detection(choice: Choice, into: Spool = spool) -> Detection:
        settings = AgentSettings(agent_id="a")
        facts = host.collect()
        one = Detection(settings, store, into, LossBook(), facts, lambda: "127.0.0.1:1", choice)
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


CHURN = """
import os, sys
for number in range(int(sys.argv[2])):
    os.mkdir(f"{sys.argv[1]}/{number}")
"""


@pytest.fixture
def told(make, store: SettingsStore, tmp_path: Path, until):
    """Return how many of 100 new folders are told one by one, under some settings."""
    runs = itertools.count()

    def count(**settings: object) -> int:
        folder = tmp_path / f"files-{next(runs)}"
        folder.mkdir()
        spool = Spool(folder.with_name(f"{folder.name}.spool"), SpoolSettings(), LossBook())
        detection = make(Choice(sensors=("bpf",)), spool)
        detection.start()
        changed = {"ExcludedFolders": [], "FileMonitoring": {}} | settings
        store.change("Behavior_Detection", {k: v for k, v in changed.items() if v != {}})
        detection.apply()
        subprocess.run([sys.executable, "-c", CHURN, str(folder), "100"], check=True)
        sensor, pipeline = detection.sensor, detection.pipeline
        rings = [part.ring for part in sensor.session.parts]
        until(lambda: not any(ring.waiting() for ring in rings) and not pipeline.waiting)
        detection.stop()
        found = sum(event.get("DroppedPath") == str(folder) for event in stored(spool))
        spool.close()
        return found

    return count


def stored(spool: Spool) -> list[dict[str, object]]:
    batch = spool.take(max_events=1_000_000)
    reader = zstandard.ZstdDecompressor().stream_reader(batch.body, read_across_frames=True)
    events = [json.loads(line) for line in reader.readall().splitlines()]
    return [event for event in events if event["EventType"] == "filechange"]


@pytest.mark.root
@pytest.mark.setting("Behavior_Detection.FileMonitoring.EventsPerSecond")
@pytest.mark.setting("Behavior_Detection.FileMonitoring.Burst")
def test_a_process_is_told_with_so_many_of_its_files(told, saw):
    few = told(FileMonitoring={"EventsPerSecond": 1, "Burst": 5})
    more = told(FileMonitoring={"EventsPerSecond": 1, "Burst": 50})
    every = told(FileMonitoring={"EventsPerSecond": 0, "Burst": 5})
    assert 5 <= few <= 20 < 50 <= more <= 65 < every == 100
    saw("Behavior_Detection.FileMonitoring.Burst", f"of 100 new folders, 5: {few}; 50: {more} told")
    saw(
        "Behavior_Detection.FileMonitoring.EventsPerSecond",
        f"of 100 new folders at once, 1: {few}; 0: {every} told",
    )


@pytest.mark.root
@pytest.mark.setting("Behavior_Detection.ExcludedFolders.FolderPath")
def test_folders_are_left_out(told, tmp_path: Path, saw):
    name = "Behavior_Detection.ExcludedFolders.FolderPath"
    inside = told(ExcludedFolders=[{"FolderPath": str(tmp_path)}])
    beside = told(ExcludedFolders=[{"FolderPath": str(tmp_path / "files")}])
    assert (inside, beside) == (0, 100)
    saw(name, f"of 100 new folders, {inside} were told below it, {beside} beside it")
