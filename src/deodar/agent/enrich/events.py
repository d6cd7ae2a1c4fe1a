"""From a sensor's record to a KEDR event: one function for each kind of record.

Field names and units are those of deodar.events.vocabulary; a field that is not known is left out.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from deodar.agent.sensors.base import Connection, Exec, Exit, Fork, Listen, ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.processes import Process
    from deodar.agent.sensors.base import Record

Event = dict[str, Any]
ELF = 8
OTHER_FILE = 1
INBOUND, OUTBOUND = 0, 1

TYPES: dict[type[Any], str] = {
    Exec: "process",
    Fork: "process_fork",
    Exit: "process_terminate",
    Connection: "connection",
    Listen: "portlisten",
}
"""The type of the event that is made of each kind of record."""

R = TypeVar("R")
CONVERTERS: dict[type[Any], Callable[[Context, Any], Event]] = {}


def event_of(context: Context, record: Record) -> Event:
    """Return the event that tells of a record. Raises KeyError for a kind that is not known."""
    event = context.common()
    event["Id"] = next(context.event_ids)
    event["Timestamp"] = record.time_ns // 1000
    for name, value in CONVERTERS[type(record)](context, record).items():
        if value is not None and value != "":
            event[name] = value
    return event


def follow(context: Context, record: Record) -> None:
    """Keep the table of processes right for a record of which no event shall be made."""
    if isinstance(record, Exec):
        context.started(record, look_up=False)
    elif isinstance(record, Fork):
        context.forked(record)
    elif isinstance(record, Exit):
        context.ended(record)


def converts(
    kind: type[R],
) -> Callable[[Callable[[Context, R], Event]], Callable[[Context, R], Event]]:
    """Enter a function into the registry as the one for records of `kind`."""

    def enter(function: Callable[[Context, R], Event]) -> Callable[[Context, R], Event]:
        CONVERTERS[kind] = function
        return function

    return enter


@converts(Exec)
def process(context: Context, record: Exec) -> Event:
    """A program was started."""
    process = context.started(record)
    return {
        "EventType": "process",
        **_process_fields(context, process),
        **_parent_fields(context, process),
        **_kernel_fields(record),
        "LogonRemoteHost": context.logons.remote_host(process.tty),
    }


@converts(Fork)
def process_fork(context: Context, record: Fork) -> Event:
    """A process made a copy of itself, which may or may not run another program later."""
    child = context.forked(record)
    return {
        "EventType": "process_fork",
        **_process_fields(context, child),
        **_parent_fields(context, child),
    }


@converts(Exit)
def process_terminate(context: Context, record: Exit) -> Event:
    """A process ended, by itself or by a signal."""
    process = context.ended(record)
    fields: Event = {
        "EventType": "process_terminate",
        **_owner_fields(context, record.key, process),
        "ExitCode": None if record.signal else record.exit_code,
        "RunTimeUs": record.run_time_ns // 1000 or None,
        "EndTime": record.time_ns // 1000,
        "ExitSignal": record.signal or None,
    }
    if process is not None:
        fields.update(_parent_ids(context, process))
    return fields


@converts(Connection)
def connection(context: Context, record: Connection) -> Event:
    """A TCP connection was made to or from this host, or tried."""
    return {
        "EventType": "connection",
        **_socket_fields(context, record),
        "RemoteIp": record.remote_ip,
        "RemotePort": record.remote_port,
        "Direction": OUTBOUND if record.direction == "outbound" else INBOUND,
    }


@converts(Listen)
def portlisten(context: Context, record: Listen) -> Event:
    """A process opened a port for others."""
    return {"EventType": "portlisten", **_socket_fields(context, record)}


def loss_fields(count: int, stage: str, reason: str, first_ns: int, last_ns: int) -> Event:
    """Return the fields that tell of `count` lost events; times are ns since the epoch."""
    return {
        "EventType": "telemetry_loss",
        "LostCount": count,
        "LostStage": stage,
        "LostReason": reason,
        "LostFirstTime": first_ns // 1000,
        "LostLastTime": last_ns // 1000,
    }


def _kernel_fields(record: Exec) -> Event:
    """Return what only the kernel knows, and only at the start of a program."""
    fields: Event = {
        "StartupParametersTruncated": 1 if record.argv_truncated else None,
        "FileDeleted": 1 if record.deleted else None,
        "FileAttributes": record.mode or None,
        "Gid": record.gid,
        "EffectiveGid": record.egid,
        "Capabilities": f"{record.caps:x}" if record.caps else None,
        "MountNamespace": record.mount_ns or None,
        "PidNamespace": record.pid_ns or None,
    }
    if record.inode is not None:
        fields["FileDevice"] = f"{os.major(record.inode.dev)}:{os.minor(record.inode.dev)}"
        fields["FileInode"] = record.inode.ino
        fields["FileLastChangeTime"] = record.inode.ctime_ns // 1000
    return fields


def _socket_fields(context: Context, record: Connection | Listen) -> Event:
    process = context.processes.find(record.key)
    fields = _owner_fields(context, record.key, process)
    if process is None:
        fields["UserName"] = context.users.name(record.uid)
    fields["Protocol"] = record.protocol
    fields["LocalIp"] = record.local_ip
    fields["LocalPort"] = record.local_port
    return fields


def _owner_fields(context: Context, key: ProcessKey, process: Process | None) -> Event:
    """Return what is known of the process that an event is about, be it only its id."""
    if process is not None:
        return _process_fields(context, process)
    return {"SystemPid": key.pid or None, "UniquePid": context.unique_pids.of(key)}


def _process_fields(context: Context, process: Process) -> Event:
    image, users = process.image, context.users
    folder, name = os.path.split(image.exe)
    fields = {
        "SystemPid": process.key.pid,
        "UniquePid": context.unique_pids.of(process.key),
        "StartupParameters": image.command_line,
        "FileName": name,
        "FilePath": folder,
        "FileFullName": image.exe,
        "UserName": users.name(process.euid),
        "EffectiveUserName": users.name(process.euid),
        "EffectiveUid": process.euid,
        "RealUserName": users.name(process.uid),
        "RealUid": process.uid,
        "Uid": process.euid,
        "LoginUid": process.login_uid,
        "LoginUserName": users.name(process.login_uid),
        "LogonSessionId": process.session_id,
        "WorkingDirectory": process.cwd,
        "Tty": process.tty,
        "ContainerId": process.container_id,
        "CgroupId": process.cgroup_id or None,
    }
    fields.update(_file_fields(context, process))
    return fields


def _file_fields(context: Context, process: Process) -> Event:
    facts = context.facts(process)
    if facts is None:
        return {}
    return {
        "FileSize": facts.size,
        "FileCreationTime": facts.created_us,
        "FileModificationTime": facts.modified_us,
        "FileType": ELF if facts.is_elf else OTHER_FILE,
        "Md5": facts.md5,
        "Sha256": facts.sha256,
    }


def _parent_ids(context: Context, process: Process) -> Event:
    return {
        "ParentSystemPid": process.parent.pid or None,
        "UniqueParentPid": context.unique_pids.of(process.parent),
    }


def _parent_fields(context: Context, process: Process) -> Event:
    fields = _parent_ids(context, process)
    parent = context.processes.get(process.parent)
    if parent is not None:
        facts = context.facts(parent)
        fields["ParentFileFullName"] = parent.image.exe
        fields["ParentStartupParameters"] = parent.image.command_line
        if facts is not None:
            fields["ParentMd5"] = facts.md5
            fields["ParentSha256"] = facts.sha256
    return fields
