from __future__ import annotations

import os

from deodar.agent.enrich import logon_events
from deodar.agent.enrich.registry import event_of
from deodar.agent.sensors.base import ProcessKey
from deodar.agent.sensors.logon_acts import Logon, LogonKind
from deodar.events.vocabulary import VOCABULARY

OWN = ProcessKey(os.getpid(), 0)


def test_a_logon_is_an_event_of_the_systems_log(context):
    logon = Logon(5_000, OWN, LogonKind.LOGON, "sshd", "root", "192.0.2.1", "pts/3", session_id=7)
    event = event_of(context, logon)
    wanted = {
        "EventType": "windowsevent", "LinuxEventType": "UserLogon",
        "LinuxOperationResult": "success", "TargetUserName": "root", "TargetUid": 0,
        "LogonService": "sshd", "LogonRemoteHost": "192.0.2.1", "LogonSessionId": 7,
        "LogonType": logon_events.REMOTE_INTERACTIVE, "Tty": "pts/3", "Timestamp": 5,
        "SystemPid": os.getpid(),
    }  # fmt: skip
    assert wanted.items() <= event.items()
    assert "LogonReason" not in event
    assert set(event) <= set(VOCABULARY.types["windowsevent"].fields)


def test_a_failure_says_why_and_who_asked(context):
    failed = Logon(
        5_000, OWN, LogonKind.FAILED, "su", "no-such-user", by="anna", reason="unknown user"
    )
    event = event_of(context, failed)
    wanted = {
        "LinuxEventType": "UserLogonFailed", "LinuxOperationResult": "failure",
        "TargetUserName": "no-such-user", "LogonReason": "unknown user",
        "LogonRequestedBy": "anna", "LogonType": logon_events.NEW_CREDENTIALS,
    }  # fmt: skip
    assert wanted.items() <= event.items()
    assert "TargetUid" not in event


def test_a_process_that_is_not_known_leaves_its_fields_out(context):
    event = event_of(context, Logon(5, ProcessKey(0, 0), LogonKind.LOGOFF, "login", "root"))
    assert "SystemPid" not in event
    assert event["TargetUid"] == 0
