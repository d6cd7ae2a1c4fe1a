from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.enrich.registry import event_of
from deodar.agent.enrich.system_events import EVENT_TYPE
from deodar.agent.sensors.base import UNKNOWN_PROCESS, Exec, ProcessKey
from deodar.agent.watch.records import AccountChange, ScheduleChange, ServiceChange, ServiceRun
from deodar.events.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context

KEY = ProcessKey(4_000_001, 5)

ACCOUNT = AccountChange(
    1_000, KEY, "Modified", "/etc/group", ("groups: a -> a, b", "shell: x -> y"), False,
    "User", "anna", 1000, ("a", "b"), "/home/anna", "/bin/sh",
)  # fmt: skip
TASK = ScheduleChange(
    1_000, KEY, "Created", "/etc/cron.d/x", (), True, "cron", "@daily", "/bin/x", "root"
)
SERVICE = ServiceChange(
    1_000, KEY, "Deleted", "/etc/y.service", (), False, "y.service", "/etc/y.service", "/bin/y"
)
RUN = ServiceRun(1_000, UNKNOWN_PROCESS, "y.service", "/system.slice/y.service", True)


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (ACCOUNT, {
            "LinuxEventType": "UserModified", "TargetUserName": "anna", "TargetUid": 1000,
            "TargetGroups": "a, b", "TargetHome": "/home/anna", "TargetShell": "/bin/sh",
            "ChangedFields": "groups: a -> a, b; shell: x -> y", "ChangedFile": "/etc/group",
            "ChangedMeanwhile": 0,
        }),
        (TASK, {
            "LinuxEventType": "ScheduledTaskCreated", "ScheduleKind": "cron",
            "ScheduleExpression": "@daily", "ScheduleCommand": "/bin/x", "ScheduleUser": "root",
            "ScheduleFile": "/etc/cron.d/x", "ChangedMeanwhile": 1,
        }),
        (SERVICE, {
            "LinuxEventType": "ServiceDeleted", "ServiceName": "y.service",
            "ServicePath": "/etc/y.service", "ServiceCommand": "/bin/y",
        }),
        (RUN, {
            "LinuxEventType": "ServiceStarted", "ServiceName": "y.service",
            "ServiceState": "started", "ServiceGroup": "/system.slice/y.service",
        }),
    ],
)  # fmt: skip
def test_what_is_told(context: Context, record: Any, fields: dict[str, Any]) -> None:
    event = event_of(context, record)
    assert event["EventType"] == EVENT_TYPE
    assert event["LinuxOperationResult"] == "success"
    assert fields.items() <= event.items()
    assert set(event) <= set(VOCABULARY.types[EVENT_TYPE].fields)


def test_the_process_that_did_it_is_told_with_its_parent(context: Context) -> None:
    parent = ProcessKey(4_000_000, 4)
    context.started(Exec(1, parent, ProcessKey(1, 1), [b"bash"], exe=b"/bin/bash"))
    context.started(Exec(1, KEY, parent, [b"useradd", b"x"], exe=b"/usr/sbin/useradd"))
    event = event_of(context, ACCOUNT)
    assert event["SystemPid"] == KEY.pid
    assert event["FileFullName"] == "/usr/sbin/useradd"
    assert event["ParentFileFullName"] == "/bin/bash"


def test_nothing_is_made_up_of_a_process_that_is_not_known(context: Context) -> None:
    event = event_of(context, RUN)
    assert not {"SystemPid", "UniquePid", "FileFullName", "UserName"} & set(event)
