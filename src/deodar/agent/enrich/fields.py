"""Fields that events of several types have: of the process that acts, of its parent, of its file.

Names and units are those of deodar.events.vocabulary; a field that is not known is None or "".
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from deodar.agent.hashing.facts import Rest

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.hashes import FileFacts
    from deodar.agent.enrich.processes import Process
    from deodar.agent.enrich.registry import Event
    from deodar.agent.sensors.base import Act, Exec, ProcessKey


def owner_fields(context: Context, key: ProcessKey, process: Process | None) -> Event:
    """Return what is known of the process that an event is about, be it only its id."""
    if process is not None:
        return process_fields(context, process)
    return {"SystemPid": key.pid or None, "UniquePid": context.unique_pids.of(key)}


def process_fields(context: Context, process: Process) -> Event:
    """Return what is known of a process: its ids, program, accounts, surroundings."""
    return identity_fields(context, process) | surrounding_fields(context, process)


def identity_fields(context: Context, process: Process) -> Event:
    """Return what no other process has in common with this one."""
    return {
        "SystemPid": process.key.pid,
        "UniquePid": context.unique_pids.of(process.key),
        "StartupParameters": process.image.command_line,
        "ContainerPid": process.container_pid or None,
    }


def surrounding_fields(context: Context, process: Process) -> Event:
    """Return what a process shares with others that run the same program in the same place."""
    image, users = process.image, context.users
    folder, name = os.path.split(image.exe)
    fields = {
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
    if process.container_id:
        container = context.containers.of(process.container_id)
        fields["ContainerName"], fields["ContainerImage"] = container
    fields.update(facts_fields(context.facts(process)))
    return fields


def facts_fields(facts: FileFacts | None) -> Event:
    """Return what is known of the file that an event is about."""
    if facts is None:
        return {}
    return {
        "FileSize": facts.size,
        "FileCreationTime": facts.created_us,
        "FileModificationTime": facts.modified_us,
        "FileType": facts.file_type,
        "Md5": facts.md5,
        "Sha256": facts.sha256,
    }


def content_fields(context: Context, process: Process) -> Event:
    """Return what else is known of a program's content, which one event of a process tells."""
    facts = context.facts(process)
    if facts is None:
        return {}
    process.image.is_told = facts.rest is not Rest.COMING
    return {
        "FileHeader": facts.header,
        "FileEntropy": facts.entropy,
        "FuzzyHash": facts.fuzzy,
    }


def start_fields(record: Exec) -> Event:
    """Return what only the kernel knows, and only at the start of a program."""
    fields: Event = {
        "FileAttributes": record.mode or None,
        "Gid": record.gid,
        "EffectiveGid": record.egid,
        "Capabilities": f"{record.caps:x}" if record.caps else None,
        "MountNamespace": record.mount_ns or None,
        "PidNamespace": record.pid_ns or None,
    }
    if record.inode is not None:
        fields["FileDevice"] = as_device(record.inode.dev)
        fields["FileInode"] = record.inode.ino
        fields["FileLastChangeTime"] = record.inode.ctime_ns // 1000
    return fields


def parent_ids(context: Context, process: Process) -> Event:
    """Return the ids of a process's parent."""
    return {
        "ParentSystemPid": process.parent.pid or None,
        "UniqueParentPid": context.unique_pids.of(process.parent),
    }


def parent_fields(context: Context, process: Process) -> Event:
    """Return what is known of a process's parent."""
    fields = parent_ids(context, process)
    parent = context.processes.get(process.parent)
    if parent is not None:
        facts = context.facts(parent)
        fields["ParentFileFullName"] = parent.image.exe
        fields["ParentStartupParameters"] = parent.image.command_line
        if facts is not None:
            fields["ParentMd5"] = facts.md5
            fields["ParentSha256"] = facts.sha256
    return fields


def actor_fields(context: Context, record: Act) -> Event:
    """Return what is known of the process that did something."""
    return owner_fields(context, record.key, context.processes.find(record.key))


def as_device(number: int) -> str:
    """Return a device number of os.stat as "major:minor"."""
    return f"{os.major(number)}:{os.minor(number)}"


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
