from __future__ import annotations

from pathlib import Path

import pytest

from deodar.agent.tasks.wanted import WantedTasks
from deodar.kit.directory import StateDirectory


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory.create(tmp_path / "agent")


def test_detection_and_integration_shall_run_at_first(directory: StateDirectory) -> None:
    wanted = WantedTasks(directory)
    assert wanted.has("Behavior_Detection")
    assert wanted.has("KATAEDR")
    assert not wanted.has("KATAEDR_Prevention")
    assert not directory.has("tasks.json")


def test_what_is_wanted_is_kept_over_a_restart(directory: StateDirectory) -> None:
    WantedTasks(directory).put("KATAEDR", False)
    assert not WantedTasks(directory).has("KATAEDR")
    assert WantedTasks(directory).has("Behavior_Detection")
    assert (directory.path / "tasks.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'{"KATAEDR": 5}', b"[" * 100_000, b"\xff"])
def test_a_damaged_file_counts_as_none(directory: StateDirectory, data: bytes) -> None:
    directory.write("tasks.json", data)
    wanted = WantedTasks(directory)
    assert wanted.has("KATAEDR")
    wanted.put("KATAEDR", False)
    assert not WantedTasks(directory).has("KATAEDR")


def test_a_disk_that_takes_no_file_stops_nothing(directory: StateDirectory) -> None:
    wanted = WantedTasks(directory)
    directory.path.rename(directory.path.with_name("gone"))
    wanted.put("KATAEDR", False)
    assert not wanted.has("KATAEDR")
