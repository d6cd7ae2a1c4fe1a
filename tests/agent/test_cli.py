from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from deodar.agent import status
from deodar.agent.cli import app
from deodar.agent.errors import TokenError
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import SettingsError, StateError

if TYPE_CHECKING:
    from pathlib import Path


def call(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_enrolment_is_reported(tmp_path: Path, server: Any) -> None:
    import base64

    server.secrets.add("s3cret")
    data = json.dumps({"url": server.url, "pin": server.pin, "secret": "s3cret"}).encode()
    token = "deodar-enroll:v1:" + base64.urlsafe_b64encode(data).decode()
    result = call("enroll", "--dir", tmp_path / "agent", token)
    assert result.exit_code == 0
    assert result.output == f"enrolled at {server.url} as agent-7\n"


def test_bad_token_is_an_error_of_ours(tmp_path: Path) -> None:
    result = call("enroll", "--dir", tmp_path, "nonsense")
    assert isinstance(result.exception, TokenError)


@pytest.mark.parametrize("command", ["run", "status"])
def test_missing_folder_says_how_to_make_it(tmp_path: Path, command: str) -> None:
    result = call(command, "--dir", tmp_path / "missing")
    assert isinstance(result.exception, StateError)
    assert "deodar agent enroll" in str(result.exception)


def test_replay_needs_its_sensor(tmp_path: Path) -> None:
    for words in (("--sensor", "bpf", "--replay", "f"), ("--sensor", "replay")):
        result = call("run", "--dir", tmp_path, *words)
        assert isinstance(result.exception, SettingsError)


def test_error_of_the_running_agent_is_one_line(tmp_path: Path, server: Any) -> None:
    server.enrol(tmp_path)
    words = ("run", "--dir", tmp_path, "--replay", tmp_path / "missing.ndjson")
    command = [sys.executable, "-m", "deodar", "agent", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("deodar: cannot read ")
    assert done.stderr.count("\n") == 1
    assert "missing.ndjson" in done.stderr


def test_status_before_the_first_run(tmp_path: Path) -> None:
    result = call("status", "--dir", tmp_path)
    assert result.exit_code == 1
    assert "has not run yet" in result.output


@pytest.mark.parametrize(("start", "code"), [(0, 0), (10_000_000, 1)])
def test_status_is_shown_and_is_the_exit_code(
    tmp_path: Path, server: Any, start: int, code: int
) -> None:
    server.enrol(tmp_path)
    told = status.AgentStatus(
        time=2.0,
        started=1.0,
        pid=os.getpid(),
        process_start=status.own_start() + start,
        version="1",
        agent_id="agent-7",
        server="https://edr",
        memory_bytes=1,
        sensor=status.SensorStatus("bpf", "eBPF"),
        pipeline=status.PipelineStatus(),
        spool=status.SpoolStatus(),
        uplink=status.UplinkStatus("connected"),
    )
    status.write(StateDirectory(tmp_path), told)
    result = call("status", "--dir", tmp_path)
    assert result.exit_code == code
    assert "agent-7" in result.output
    result = call("status", "--dir", tmp_path, "--json")
    assert result.exit_code == code
    assert json.loads(result.output)["running"] is (code == 0)


def test_help_names_every_command() -> None:
    result = call("--help")
    assert all(name in result.output for name in ("enroll", "run", "status"))
