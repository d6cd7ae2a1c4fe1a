"""What is left after a kill -9, and that it can be taken away without the agent."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest

from deodar.agent.sensors import audit_control as control
from deodar.agent.sensors import audit_settings, cleanup
from deodar.agent.sensors.audit import AuditSensor
from deodar.agent.sensors.audit_control import LOCKED, Status
from deodar.kit.errors import DeodarError

AGENT = """
from deodar.agent.sensors.audit import AuditSensor
AuditSensor().open()
print("ready", flush=True)
import time; time.sleep(60)
"""


class Killed(NamedTuple):
    """What there was before a sensor that was killed, and how many rules it left."""

    status: Status
    rules: list[bytes]
    own: int


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    return tmp_path


@pytest.fixture
def killed(folder):
    """A sensor's process is killed; gives what there was before it and is now."""
    before = control.status()
    control.set_backlog_wait(4321)
    status, rules = control.status(), control.rules()
    with subprocess.Popen([sys.executable, "-c", AGENT], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
    own = len(control.own_rules())
    assert own >= 2  # starts and ends of programs, and more
    assert control.status().backlog_wait == 0
    yield Killed(status, rules, own)
    control.set_backlog_wait(before.backlog_wait)


def settings(status):
    return status.enabled, status.backlog_limit, status.backlog_wait


@pytest.mark.root
def test_command_of_the_package_takes_all_of_it_away(killed, folder):
    command = [sys.executable, "-m", "deodar.agent.sensors.cleanup"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{killed.own} audit rules removed" in done.stdout
    assert "backlog_wait_time is 4321 again" in done.stdout
    assert (settings(control.status()), control.rules()) == (settings(killed.status), killed.rules)
    again = subprocess.run(command, capture_output=True, text=True)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


@pytest.mark.root
def test_next_agent_takes_over_and_leaves_nothing_behind(killed):
    sensor = AuditSensor()
    sensor.open()
    assert len(control.own_rules()) == killed.own
    sensor.close()
    assert (settings(control.status()), control.rules()) == (settings(killed.status), killed.rules)


@pytest.mark.root
def test_only_rules_with_our_key_go(folder):
    assert control.own_rules() == []
    calls = control.Calls(0xC000003E, 59, 322, 231)
    foreign = control.exit_rule(calls).replace(b"deodar", b"others")
    control.request(control.PROTOCOL, control.ADD_RULE, foreign)
    control.add_rule(control.exec_rule(calls))
    try:
        assert cleanup.remove_rules() == ["1 audit rules removed"]
        assert any(rule[: len(foreign)] == foreign for rule in control.rules())
    finally:
        control.delete_rule(foreign)
    assert control.own_rules() == []


def test_locked_rules_and_missing_rights_are_told(monkeypatch, capsys):
    monkeypatch.setattr(control, "status", lambda: Status(LOCKED, 1, 64, 0))
    monkeypatch.setattr(control, "own_rules", lambda: [b"rule"])
    with pytest.raises(DeodarError, match=r"locked.*next boot"):
        cleanup.clean()
    assert cleanup.main() == 1
    assert "locked" in capsys.readouterr().err

    def refused():
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(control, "status", refused)
    with pytest.raises(DeodarError, match="root"):
        cleanup.clean()


def test_host_without_audit_is_clean(monkeypatch):
    def missing():
        raise OSError(errno.EPROTONOSUPPORT, "no audit")

    monkeypatch.setattr(control, "status", missing)
    monkeypatch.setattr(audit_settings, "read", lambda: None)
    assert cleanup.clean() == []
