from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from deodar.agent.cli import app
from deodar.agent.errors import TokenError
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
    server.secrets.add("s3cret")
    result = call("enroll", "--dir", tmp_path / "agent", token, "--force", "--json")
    assert json.loads(result.output) == {"url": server.url, "agent_id": "agent-7"}


def test_bad_token_is_an_error_of_ours(tmp_path: Path) -> None:
    result = call("enroll", "--dir", tmp_path, "nonsense")
    assert isinstance(result.exception, TokenError)


@pytest.mark.parametrize("command", ["run", "status", "policy", "events"])
def test_missing_folder_says_how_to_make_it(tmp_path: Path, command: str) -> None:
    result = call(command, "--dir", tmp_path / "missing")
    assert isinstance(result.exception, StateError)
    assert "deodar agent enroll" in str(result.exception)


def test_replay_needs_its_sensor(tmp_path: Path) -> None:
    for words in (("--sensor", "bpf", "--replay", "f"), ("--sensor", "replay")):
        result = call("run", "--dir", tmp_path, *words)
        assert isinstance(result.exception, SettingsError)


def test_error_of_the_running_agent_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deodar", "agent", "run", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("deodar: ")
    assert done.stderr.count("\n") == 1
    assert "agent.toml is missing" in done.stderr


def test_help_names_every_command() -> None:
    result = call("--help")
    assert all(
        name in result.output
        for name in (
            "enroll",
            "run",
            "status",
            "policy",
            "events",
            "task",
            "settings",
            "certificate",
        )
    )
