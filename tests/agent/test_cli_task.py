from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.agent.small_agent import command, serving

from deodar.agent.control.errors import NotRunning
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return StateDirectory.create(tmp_path / "agent").path


def code(result: object) -> int:
    error = getattr(result, "exception", None)
    return int(getattr(error, "exit_code", 0 if error is None else -1))


def test_tasks_are_listed_started_and_stopped(folder: Path) -> None:
    with serving(StateDirectory(folder)):
        listed = command(folder, "task", "list").output.splitlines()
        assert listed[0] == "  20  Behavior_Detection  Stopped"
        assert json.loads(command(folder, "task", "list", "--json").output)[1]["id"] == 24
        refused = command(folder, "task", "start", 24)
        assert code(refused) == 65
        assert "Behavior_Detection" in str(refused.exception)
        assert command(folder, "task", "start", 20).output == "Behavior_Detection (20): Started\n"
        assert code(command(folder, "task", "start", 20)) == 70
        assert command(folder, "task", "state", "20").output == "Behavior_Detection (20): Started\n"
        stopped = command(folder, "task", "stop", "behavior_detection", "--json")
        assert json.loads(stopped.output)["state"] == "Stopped"
        assert code(command(folder, "task", "stop", 20)) == 70


@pytest.mark.parametrize("verb", ["start", "stop", "state"])
def test_tasks_need_a_running_agent(folder: Path, verb: str) -> None:
    result = command(folder, "task", verb, "20")
    assert isinstance(result.exception, NotRunning)
    assert code(result) == 64
    assert "deodar agent run" in str(result.exception)


@pytest.mark.parametrize("running", [True, False])
def test_settings_of_a_task_go_out_and_in(folder: Path, tmp_path: Path, running: bool) -> None:
    import contextlib

    with serving(StateDirectory(folder)) if running else contextlib.nullcontext():
        settings = ("task", "settings")
        done = command(folder, *settings, "set", "KATAEDR", "SynchronizationPeriod=7", "Port=9443")
        assert done.output == "changed: SynchronizationPeriod, Endpoints\n"
        shown = command(folder, *settings, "get", "KATAEDR").output
        assert shown.startswith("UseClientPinnedCertificate=No\nSynchronizationPeriod=7\n")
        assert "[Endpoints.item_0000]\nAddress=127.0.0.1\nPort=9443\n" in shown
        one = command(folder, *settings, "get", "KATAEDR", "SynchronizationPeriod")
        assert one.output == "SynchronizationPeriod=7\n"
        for flag in ((), ("--json",)):
            file = tmp_path / f"settings{len(flag)}"
            command(folder, *settings, "get", "KATAEDR", "--file", file, *flag)
            command(folder, *settings, "set", "KATAEDR", "--default")
            done = command(folder, *settings, "set", "KATAEDR", "--file", file, *flag)
            assert "SynchronizationPeriod" in done.output
        as_json = command(folder, *settings, "get", "KATAEDR", "SynchronizationPeriod", "--json")
        assert json.loads(as_json.output) == {"SynchronizationPeriod": "7"}


def test_wrong_settings_end_with_their_codes(folder: Path, tmp_path: Path) -> None:
    change = ("task", "settings", "set", "KATAEDR")
    for words, wanted in (
        (("SynchronizationPeriod=0",), 2),
        (("SynchronizationPeriod",), 2),
        (("Nonsense=1",), 2),
        ((), 1),
        (("Port=1", "--default"), 1),
        (("--file", tmp_path / "missing"), 65),
    ):
        result = command(folder, *change, *words)
        assert code(result) == wanted, words
    assert code(command(folder, "task", "settings", "get", "Nonsense")) == 65
