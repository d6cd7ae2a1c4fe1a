from __future__ import annotations

import os
import subprocess

import pytest

from deodar.agent.sensors.audit import AuditSensor
from deodar.agent.sensors.audit_users import pam_call
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.errors import MalformedRecord, SensorUnavailable
from deodar.agent.sensors.logon_acts import PamCall, PamFunction

STAMP = "audit(1795830121.250:77): "
ABOUT = "pid=119 uid=0 auid=4294967295 ses=4294967295 subj=unconfined "
SAID = (
    'msg=\'op=PAM:authentication grantors=? acct="anna" exe="/usr/sbin/sshd" '
    "hostname=client.example.net addr=192.0.2.1 terminal=ssh res=failed'"
)
TIME = 1795830121_250_000_000


def key_of(pid: int, time_ns: int) -> ProcessKey:
    return ProcessKey(pid, time_ns - TIME + 5)


def test_a_call_of_libpam_is_read():
    assert pam_call(STAMP + ABOUT + SAID, key_of) == PamCall(
        TIME, ProcessKey(119, 5), PamFunction.AUTHENTICATE, 7, "sshd", "anna", "192.0.2.1", "",
        "ssh", 0, None, None,
    )  # fmt: skip


def test_sessions_names_in_hex_and_terminals_are_read():
    said = (
        'msg=\'op=PAM:session_open acct=7A6FC3AB exe="/usr/bin/login" hostname=? addr=? '
        "terminal=/dev/tty1 res=success'"
    )
    about = "pid=119 uid=0 auid=1000 ses=3 "
    call = pam_call(STAMP + about + said, key_of)
    assert (call.function, call.result, call.user) == (PamFunction.OPEN_SESSION, 0, "zoë")
    assert (call.tty, call.remote_host, call.login_uid, call.session_id) == ("tty1", "", 1000, 3)


def test_the_service_manager_is_named_as_libpam_names_it():
    text = SAID.replace("/usr/sbin/sshd", "/usr/lib/systemd/systemd")
    assert pam_call(STAMP + ABOUT + text, key_of).service == "systemd-user"


def test_other_records_of_these_types_are_none():
    assert pam_call(STAMP + ABOUT + SAID.replace("PAM:authentication", "login"), key_of) is None


@pytest.mark.parametrize(
    "text",
    ["", "pid=1", STAMP + ABOUT + SAID.replace("acct", "x"), STAMP + SAID,
     STAMP + ABOUT + SAID.replace('"anna"', "no-hex")],
)  # fmt: skip
def test_what_cannot_be_read_is_malformed(text):
    with pytest.raises(MalformedRecord):
        pam_call(text, key_of)


@pytest.mark.root
def test_a_session_of_su_on_this_kernel(monkeypatch, tmp_path, collect):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    sensor = AuditSensor()
    try:
        sensor.open()
    except SensorUnavailable as error:
        pytest.skip(str(error))
    try:
        su = subprocess.Popen(["su", "-s", "/bin/sh", "-c", "true", "nobody"])
        assert su.wait(20) == 0

        def calls(records):
            return [r for r in records if isinstance(r, PamCall) and r.key.pid == su.pid]

        found = calls(collect(sensor, lambda records: len(calls(records)) >= 4))
    finally:
        sensor.close()
    assert [(call.function, call.result) for call in found] == [
        (PamFunction(number), 0) for number in (1, 2, 3, 4)
    ]
    assert {(call.service, call.user, call.uid) for call in found} == {
        ("su", "nobody", os.getuid())
    }
    assert all(call.key.start for call in found)
