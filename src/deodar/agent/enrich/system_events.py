"""From what the watchers find to events: accounts, scheduled tasks, services of this host.

They are events of KATA's type for a system's log, told apart by the field LinuxEventType.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.enrich.fields import actor_fields, parent_fields
from deodar.agent.enrich.registry import converts
from deodar.agent.watch.records import AccountChange, ScheduleChange, ServiceChange, ServiceRun

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event
    from deodar.agent.watch.records import StateChange

EVENT_TYPE = "windowsevent"
SUCCESS = "success"


@converts(AccountChange, EVENT_TYPE)
def account_change(context: Context, record: AccountChange) -> Event:
    """An account, a group, or the rules of sudo changed."""
    return {
        **_change_fields(context, record, record.entity),
        "TargetUserName": record.name,
        "TargetUid": record.number,
        "TargetGroups": ", ".join(record.groups),
        "TargetHome": record.home,
        "TargetShell": record.shell,
    }


@converts(ScheduleChange, EVENT_TYPE)
def schedule_change(context: Context, record: ScheduleChange) -> Event:
    """A task that runs at certain times changed."""
    return {
        **_change_fields(context, record, "ScheduledTask"),
        "ScheduleKind": record.kind,
        "ScheduleExpression": record.expression,
        "ScheduleCommand": record.command,
        "ScheduleUser": record.user,
        "ScheduleFile": record.file,
    }


@converts(ServiceChange, EVENT_TYPE)
def service_change(context: Context, record: ServiceChange) -> Event:
    """A service's definition changed."""
    return {
        **_change_fields(context, record, "Service"),
        "ServiceName": record.name,
        "ServicePath": record.path,
        "ServiceCommand": record.command,
        "ServiceManager": record.user,
    }


@converts(ServiceRun, EVENT_TYPE)
def service_run(context: Context, record: ServiceRun) -> Event:
    """A service started to run, or runs no more."""
    return {
        **_actor(context, record),
        "LinuxEventType": "ServiceStarted" if record.running else "ServiceStopped",
        "LinuxOperationResult": SUCCESS,
        "ServiceName": record.name,
        "ServiceState": "started" if record.running else "stopped",
        "ServiceGroup": record.group,
    }


def _change_fields(context: Context, record: StateChange, what: str) -> Event:
    return {
        **_actor(context, record),
        "LinuxEventType": f"{what}{record.operation}",
        "LinuxOperationResult": SUCCESS,
        "ChangedFields": "; ".join(record.changes),
        "ChangedFile": record.file,
        "ChangedMeanwhile": 1 if record.meanwhile else 0,
    }


def _actor(context: Context, record: StateChange | ServiceRun) -> Event:
    """Return what is known of the process that did it; nothing when none was seen."""
    if not record.key.pid:
        return {}
    process = context.processes.find(record.key)
    parent = parent_fields(context, process) if process is not None else {}
    return {**actor_fields(context, record), **parent}
