"""Kinds 27 and 28: the agent itself starts and stops; and what ran before it is told once."""

from __future__ import annotations

import signal
import subprocess

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(300)]


def test_each_start_and_each_stop_is_told_with_its_reason(watched, kind):
    agent = watched.stack.children["agent"]
    starts = len(watched.rows("agent_start"))
    agent.stop()
    watched.stack.restart("agent")
    (stop,) = watched.rows("agent_stop")
    assert stop["Reason"] == signal.Signals.SIGTERM.name
    assert len(watched.rows("agent_start", wanted=starts + 1)) == starts + 1
    kind(28, "SIGTERM")
    agent.kill()
    watched.stack.restart("agent")
    last = watched.rows("agent_start", wanted=starts + 2)[-1]
    assert last["Reason"] == "start after the agent was ended by force"
    assert dict(last["Extra"])["AgentUnclean"] == "1"
    assert len(watched.rows("agent_stop")) == 1
    kind(27, "a start after a stop in good order, and one after SIGKILL")
    kind(28, "SIGKILL, told at the next start")


def test_what_started_while_no_agent_watched_is_told_once(watched, mark):
    agent = watched.stack.children["agent"]
    agent.stop()
    child = subprocess.Popen(["/bin/sh", "-c", f"sleep 600; : {mark}"])
    try:
        watched.stack.restart("agent")
        where = f"DeviceCustomString4 LIKE '%: {mark}%'"
        row = watched.row("process", where)
        assert dict(row["Extra"])["AlreadyRunning"] == "1"
        assert int(row["DestinationProcessID"]) == child.pid
        agent.stop()
        watched.stack.restart("agent")
        watched.fence()
        assert len(watched.rows("process", where)) == 1
    finally:
        child.kill()
        child.wait()
