"""The audit sensor against the real kernel, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from deodar.agent.sensors import audit_calls, audit_control, audit_readers
from deodar.agent.sensors.audit import AuditSensor
from deodar.agent.sensors.audit_control import LOCKED, Status
from deodar.agent.sensors.base import Exec, Exit
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.netlink import message


@pytest.fixture(autouse=True)
def run_folder(tmp_path, monkeypatch):
    """Where the sensor notes what it changed."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))


@pytest.fixture
def audit():
    sensor = AuditSensor()
    sensor.open()
    yield sensor
    sensor.close()


def marked(records, mark):
    return [r for r in records if isinstance(r, Exec) and mark.encode() in r.argv]


@pytest.mark.root
def test_marked_process_with_its_arguments_and_exit(audit, collect, mark):
    odd = [b"a b", b"two\nlines", b"\xff\xfe", b""]
    with subprocess.Popen([b"/bin/false", mark.encode(), *odd], cwd="/usr/lib") as child:
        pass

    def exits(records):
        return [r for r in records if isinstance(r, Exit) and r.key.pid == child.pid]

    records = collect(audit, exits)
    (record,) = marked(records, mark)
    (ended,) = exits(records)
    assert record.argv == [b"/bin/false", mark.encode(), *odd]
    assert record.exe == os.path.realpath("/bin/false").encode()
    assert (record.filename, record.cwd) == (b"/bin/false", b"/usr/lib")
    assert record.key.pid == child.pid
    assert record.parent.pid == os.getpid()
    assert record.parent.start // 10_000_000 == own_start()
    assert record.inode.ino == Path("/bin/false").stat().st_ino
    assert ended.key == record.key
    assert ended.exit_code == 1


def own_start():
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


@pytest.mark.root
def test_long_arguments_come_whole(audit, collect, mark):
    subprocess.run(["/bin/true", mark, "x" * 20_000, "y" * 9_000], check=True)
    (record,) = marked(collect(audit, lambda seen: marked(seen, mark)), mark)
    assert record.argv[2:] == [b"x" * 20_000, b"y" * 9_000]
    assert not record.argv_truncated


@pytest.mark.root
def test_living_process_is_complete(audit, collect, mark):
    code = "import time; time.sleep(30)"
    with subprocess.Popen([sys.executable, "-c", code, mark]) as child:
        (record,) = marked(collect(audit, lambda seen: marked(seen, mark)), mark)
        child.kill()
    assert record.complete
    assert record.key.start % 10_000_000 == 0
    assert record.pid_ns == Path("/proc/self/ns/pid").stat().st_ino


@pytest.mark.root
def test_close_puts_everything_back():
    before, rules = audit_control.status(), audit_control.rules()
    sensor = AuditSensor()
    sensor.open()
    assert audit_control.status().enabled == 1
    assert audit_control.status().backlog_wait == 0
    others = audit_calls.rules(audit_control.ARCHITECTURES[platform.machine()].arch)
    assert len(audit_control.rules()) == len(rules) + 2 + len(others)
    sensor.close()
    after = audit_control.status()
    assert (after.enabled, after.backlog_limit) == (before.enabled, before.backlog_limit)
    assert after.backlog_wait == before.backlog_wait
    assert audit_control.rules() == rules
    assert sensor.read(0) == []


@pytest.mark.root
def test_rules_left_by_a_killed_agent_are_taken_over():
    calls, before = audit_control.ARCHITECTURES[platform.machine()], audit_control.rules()
    audit_control.add_rule(audit_control.exec_rule(calls))
    sensor = AuditSensor()
    sensor.open()
    sensor.close()
    assert audit_control.rules() == before


@pytest.mark.root
def test_locked_rules_are_a_clear_refusal(monkeypatch):
    """The lock lasts until the next boot, so the kernel's answer is put in its place here."""
    monkeypatch.setattr(audit_control, "status", lambda: Status(LOCKED, 1, 64, 0))
    rules = audit_control.rules()
    with pytest.raises(SensorUnavailable, match=r"locked.*auditctl -e 2.*remove"):
        AuditSensor().open()
    assert audit_control.rules() == rules


@pytest.mark.root
def test_kernel_that_would_panic_is_not_given_more_records(monkeypatch):
    before = audit_control.rules()
    monkeypatch.setattr(audit_control, "status", lambda: Status(1, 1, 64, 0, failure=2))
    with pytest.raises(SensorUnavailable, match=r"auditctl -f 2.*-f 1"):
        AuditSensor().open()
    assert audit_control.rules() == before


@pytest.mark.root
def test_active_audit_socket_of_the_journal_gives_advice(monkeypatch):
    monkeypatch.setattr(audit_readers, "journal_reads", lambda _proc: True)
    sensor = AuditSensor()
    assert sensor.advice == []
    sensor.open()
    sensor.close()
    assert "systemctl mask systemd-journald-audit.socket" in sensor.advice[0]


def test_unknown_bytes_are_counted_and_the_rest_goes_on():
    sensor = AuditSensor()
    assert (
        sensor._convert([b"", b"\x01", message(1300, b"garbage"), message(1300, b"\xff\0")]) == []
    )
    assert sensor.counters().malformed == 4
