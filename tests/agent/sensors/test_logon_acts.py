from __future__ import annotations

from deodar.agent.sensors.base import Act, ProcessKey
from deodar.agent.sensors.logon_acts import Logon, LogonKind, LogonSign, PamCall


def test_all_are_acts_of_a_process():
    key = ProcessKey(7, 9)
    logon = Logon(1, key, LogonKind.LOGON, "sshd", "anna")
    assert isinstance(LogonSign(1, key, "log", logon), Act)
    assert issubclass(PamCall, Act)
    assert logon.session_id is None


def test_kinds_are_what_the_field_says():
    assert {kind.value for kind in LogonKind} == {"UserLogon", "UserLogoff", "UserLogonFailed"}
