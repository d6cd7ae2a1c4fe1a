from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.agent.small_agent import command, serving, status

from deodar.agent import status as report
from deodar.kit.directory import StateDirectory
from deodar.tasks.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return StateDirectory.create(tmp_path / "agent").path


def test_running_agent_tells_itself(folder: Path) -> None:
    with serving(StateDirectory(folder)):
        result = command(folder, "status")
        assert result.exit_code == 0
        assert "running for 10 min" in result.stdout
        told = json.loads(command(folder, "status", "--json").stdout)
    assert told["running"] is True
    assert told["agent_id"] == "agent-7"


def test_coverage_is_shown(folder: Path) -> None:
    assert command(folder, "coverage").exit_code == 64
    with serving(StateDirectory(folder)):
        result = command(folder, "coverage")
        assert result.exit_code == 0
        assert "Process created" in result.stdout
        told = json.loads(command(folder, "coverage", "--json").stdout)
    assert [kind["number"] for kind in told] == [1]


def test_agent_that_never_ran_is_told(folder: Path) -> None:
    result = command(folder, "status")
    assert result.exit_code == 64
    assert "has not run yet" in result.stderr
    assert "not enrolled: first run deodar agent enroll TOKEN" in result.stderr
    (folder / "agent.toml").touch()
    result = command(folder, "status")
    assert "deodar agent run" in result.stderr
    assert "journalctl -u deodar-agent" in result.stderr
    assert "enroll" not in result.stderr


def test_agent_that_ended_shows_what_it_told_last(folder: Path) -> None:
    report.write(StateDirectory(folder), status(process_start=1))
    result = command(folder, "status")
    assert result.exit_code == 64
    assert "NOT RUNNING" in result.stdout
    assert "agent-7" in result.stdout
    assert "start it with" in result.stderr
    result = command(folder, "status", "--json")
    assert result.exit_code == 64
    assert json.loads(result.stdout)["running"] is False


def test_agent_that_runs_but_has_no_socket_shows_its_file(folder: Path) -> None:
    report.write(StateDirectory(folder), status())
    assert command(folder, "status").exit_code == 0


def test_policy_is_shown(folder: Path) -> None:
    assert "no policy" in command(folder, "policy").stdout
    assert command(folder, "policy", "--json").stdout == "null\n"
    with serving(StateDirectory(folder)) as agent:
        held = {"KATAEDR": {"SynchronizationPeriod": 9}}
        agent.settings.apply_policy(Policy(version=3, settings=held))
        shown = command(folder, "policy").stdout
        assert shown == "# policy default, version 3\n[KATAEDR]\nSynchronizationPeriod=9\n"
        assert json.loads(command(folder, "policy", "--json").stdout)["version"] == 3
