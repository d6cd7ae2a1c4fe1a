from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.small_agent import command, serving

from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = StateDirectory.create(tmp_path / "agent")
    with serving(directory) as agent:
        for number in range(3):
            agent.events.add("SettingsProblem", Problem=str(number))
        agent.events.add("ApplicationStopped")
    return directory.path


def problems(output: str) -> list[str]:
    return [line[8:] for line in output.splitlines() if line.startswith("Problem=")]


def test_events_are_shown_as_asked_for(folder: Path, tmp_path: Path) -> None:
    assert problems(command(folder, "events").output) == ["0", "1", "2"]
    query = ("events", "--query", "EventType == 'SettingsProblem'")
    assert problems(command(folder, *query, "-n", 2, "--reverse").output) == ["2", "1"]
    lines = command(folder, *query, "--json").output.splitlines()
    assert [json.loads(line)["Problem"] for line in lines] == ["0", "1", "2"]
    out = tmp_path / "out"
    out.write_text("before")
    assert command(folder, *query, "--file", out).output == ""
    assert problems(out.read_text()) == ["0", "1", "2"]
    copy = tmp_path / "copy.db"
    copy.write_bytes((folder / "events.db").read_bytes())
    assert problems(command(tmp_path, *query, "--db", copy).output) == ["0", "1", "2"]


def test_wrong_use_is_told(folder: Path, tmp_path: Path) -> None:
    for words, code, text in (
        (("--query", "Nonsense"), 1, "query, column"),
        (("--follow", "--reverse"), 1, "--follow goes together"),
        (("--follow", "-n", 1), 1, "--follow goes together"),
        (("--db", tmp_path / "missing"), 65, "is not there"),
        (("--file", tmp_path / "no" / "x"), 65, "cannot write"),
        (("--follow",), 64, "deodar agent run"),
    ):
        result = command(folder, "events", *words)
        assert getattr(result.exception, "exit_code", 0) == code, words
        assert text in str(result.exception)


def test_misspelt_name_is_warned_of(folder: Path) -> None:
    wrong = command(folder, "events", "--query", "EventTyp == 'SettingsProblem'")
    assert (wrong.exit_code, wrong.stdout) == (0, "")
    assert "no type of event is known to have eventtyp" in wrong.stderr
    right = command(folder, "events", "--query", "Problem == '1' and RepeatCount == ''")
    assert problems(right.stdout) == ["1"]
    assert right.stderr == ""


def _take_interrupts() -> None:
    """Be a process of a terminal: what runs in a shell's background ignores interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_following_ends_cleanly_on_interrupt(folder: Path, until: Callable[..., Any]) -> None:
    with serving(StateDirectory(folder)) as agent:
        words = ["events", "--follow", "--json", "--query", "EventType == 'SettingsProblem'"]
        process = subprocess.Popen(
            [sys.executable, "-m", "deodar", "agent", *words, "--dir", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_take_interrupts,  # noqa: PLW1509  # sets one handler, takes no lock
        )
        until(lambda: agent.events._followers)
        agent.events.add("SettingsProblem", Problem="live")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["Problem"] == "live"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
        assert (process.returncode, rest, errors) == (0, "", "")
        until(lambda: not agent.events._followers)
