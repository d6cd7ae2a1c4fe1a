from __future__ import annotations

import hashlib
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deodar.agent.tasking.executors import run_process
from deodar.agent.tasking.executors.base import Context, TaskFailed
from deodar.response.kinds import GetFile, RunProcess
from deodar.response.wire import Result


@pytest.fixture
def run(context: Context):
    def start(command: str, arguments: str = "", **more: Any) -> Result:
        return run_process.execute(RunProcess(command, arguments, **more), context)

    return start


def test_output_errors_and_exit_code_come_back(run):
    result = run("sh", "-c 'echo out; echo err >&2; exit 3'")
    assert (result.state, result.exit_code) == ("done", 3)
    assert (result.output, result.errors, result.cut) == ("out\n", "err\n", False)
    assert result.pid > 1
    assert 0 < result.started_us <= result.ended_us
    assert result.sha256 == hashlib.sha256(Path("/bin/sh").read_bytes()).hexdigest()


def test_no_shell_sees_the_arguments(run):
    assert run("/bin/echo", "'$HOME' '*' ';' id").output == "$HOME * ; id\n"


def test_it_runs_where_it_is_told_with_little_in_its_environment(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "of the agent")
    assert run("pwd", working_directory=str(tmp_path)).output == f"{tmp_path}\n"
    assert run("pwd").output == "/\n"
    assert set(run("env").output.split()) == {f"PATH={run_process.SEARCHED}", "LANG=C.UTF-8"}


def test_output_beyond_the_limit_is_thrown_away_and_the_program_goes_on(run):
    result = run("sh", "-c 'yes | head -c 1000000; echo end >&2'", output_limit=1000)
    assert (len(result.output), result.cut) == (1000, True)
    assert (result.errors, result.exit_code) == ("end\n", 0)


def test_a_program_begins_with_no_signal_blocked(run):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE, signal.SIGTERM})
    try:
        told = run("grep", "SigBlk /proc/self/status").output
        assert signal.SIGPIPE in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert int(told.split()[1], 16) == 0


def test_what_takes_too_long_is_killed_with_what_it_started(run):
    began = time.monotonic()
    result = run("sh", "-c 'echo begun; sleep 60 & sleep 60'", time_limit=1)
    assert time.monotonic() - began < 10
    assert (result.state, result.exit_code) == ("failed", -9)
    assert result.reason == "it ran longer than 1 s and was killed"
    assert result.output == "begun\n"


def test_a_program_that_closes_its_output_is_still_waited_for(run):
    result = run("sh", "-c 'exec >&- 2>&-; sleep 0.5; exit 7'")
    assert (result.state, result.exit_code) == ("done", 7)
    late = run("sh", "-c 'exec >&- 2>&-; exec sleep 60'", time_limit=1)
    assert (late.state, late.exit_code) == ("failed", -9)


def test_a_child_that_keeps_the_output_open_is_not_waited_for(run):
    began = time.monotonic()
    result = run("sh", "-c 'sleep 20 & echo done'")
    assert time.monotonic() - began < 10
    assert (result.state, result.exit_code, result.output) == ("done", 0, "done\n")


def test_it_ends_when_the_agent_does(context):
    threading.Timer(0.3, context.stop.set).start()
    began = time.monotonic()
    result = run_process.execute(RunProcess("sleep", "60"), context)
    assert time.monotonic() - began < 10
    assert (result.state, result.reason) == (
        "failed",
        "the agent was stopped, and the program with it",
    )


def test_bytes_that_are_no_text_are_shown_as_such(run):
    assert run("printf", r"'a\377b\n'").output == "a\N{REPLACEMENT CHARACTER}b\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("no-such-program", "no such program"),
        ("/etc/passwd", "no such program"),
        ("./sh", "no such program"),
        ("/tmp", "no such program"),
    ],
)
def test_what_cannot_be_run_is_told(run, command, told):
    with pytest.raises(TaskFailed, match=told):
        run(command)


def test_a_folder_that_is_not_there_is_told(run):
    with pytest.raises(TaskFailed, match="No such file"):
        run("pwd", working_directory="/no/such/folder")


def test_wrong_parameters_are_told(context):
    with pytest.raises(TaskFailed):
        run_process.execute(GetFile("/etc/passwd"), context)


def test_under_systemd_it_leaves_the_agents_unit(monkeypatch):
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    assert not run_process.own_unit()
    monkeypatch.setenv("INVOCATION_ID", "x")
    assert run_process.own_unit() == Path("/run/systemd/system").is_dir()
    made = run_process.in_own_unit(
        ["/bin/ls", "-l", "--unit=x"], "deodar-task-1", RunProcess("ls", time_limit=9)
    )
    assert made[0] == "systemd-run"
    assert {"--wait", "--pipe", "--collect", "--unit=deodar-task-1"} <= set(made)
    assert "--property=RuntimeMaxSec=9" in made
    assert made[made.index("--") + 1 :] == ["/bin/ls", "-l", "--unit=x"]
