"""Kinds 27 and 28: the agent's own start and stop; what ran before it is told once."""

from __future__ import annotations

import subprocess
import time

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.kind, pytest.mark.timeout(300)]


def test_the_agent_tells_of_its_start_its_stop_and_of_being_killed(watched, kind):
    began = int(time.time() * 1000)
    agent = watched.stack.children["agent"]
    agent.stop()
    watched.stack.restart("agent")
    since = f"EndTime >= {began}"
    stopped = watched.row("agent_stop", since)
    started = watched.row("agent_start", since)
    assert "SIGTERM" in stopped["Reason"]
    assert dict(started["Extra"])["AgentVersion"]
    assert dict(started["Extra"])["AgentUnclean"] == "0"
    agent.kill()
    watched.stack.restart("agent")
    row = watched.row("agent_start", since, "Extra['AgentUnclean'] = '1'")
    assert int(row["StartTime"]) > 0
    kind(27, "a start, and one after SIGKILL, which tells of that")
    kind(28, "a stop by SIGTERM, with its reason")


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
