"""From a record to an event: processes, TCP connections and listeners.

Field names and units are those of deodar.events.vocabulary; a field that is not known is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.enrich.fields import (
    as_device,
    content_fields,
    owner_fields,
    parent_fields,
    parent_ids,
    process_fields,
)
from deodar.agent.enrich.registry import converts
from deodar.agent.sensors.base import Connection, Exec, Exit, Fork, Listen

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event

INBOUND, OUTBOUND = 0, 1


@converts(Exec, "process")
def process(context: Context, record: Exec) -> Event:
    """A program was started."""
    process = context.started(record)
    return {
        **process_fields(context, process),
        **parent_fields(context, process),
        **_kernel_fields(record),
        **content_fields(context, process),
        "LogonRemoteHost": context.logons.remote_host(process.tty),
    }


@converts(Fork, "process_fork")
def process_fork(context: Context, record: Fork) -> Event:
    """A process made a copy of itself, which may or may not run another program later."""
    child = context.forked(record)
    return {
        **process_fields(context, child),
        **parent_fields(context, child),
    }


@converts(Exit, "process_terminate")
def process_terminate(context: Context, record: Exit) -> Event:
    """A process ended, by itself or by a signal."""
    process = context.ended(record)
    fields: Event = {
        **owner_fields(context, record.key, process),
        "ExitCode": None if record.signal else record.exit_code,
        "RunTimeUs": record.run_time_ns // 1000 or None,
        "EndTime": record.time_ns // 1000,
        "ExitSignal": record.signal or None,
    }
    if process is not None:
        fields.update(parent_ids(context, process))
        if not process.image.is_told:
            fields.update(content_fields(context, process))
    return fields


@converts(Connection, "connection")
def connection(context: Context, record: Connection) -> Event:
    """A TCP connection was made to or from this host, or tried."""
    return {
        **_socket_fields(context, record),
        "RemoteIp": record.remote_ip,
        "RemotePort": record.remote_port,
        "Direction": OUTBOUND if record.direction == "outbound" else INBOUND,
    }


@converts(Listen, "portlisten")
def portlisten(context: Context, record: Listen) -> Event:
    """A process opened a port for others."""
    return _socket_fields(context, record)


def _kernel_fields(record: Exec) -> Event:
    """Return what only the kernel knows, and only at the start of a program."""
    fields: Event = {
        "StartupParametersTruncated": 1 if record.argv_truncated else None,
        "FileDeleted": 1 if record.deleted else None,
        "FileMemoryBacked": 1 if record.in_memory else None,
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


def _socket_fields(context: Context, record: Connection | Listen) -> Event:
    process = context.processes.find(record.key)
    fields = owner_fields(context, record.key, process)
    if process is None:
        fields["UserName"] = context.users.name(record.uid)
    fields["Protocol"] = record.protocol
    fields["LocalIp"] = record.local_ip
    fields["LocalPort"] = record.local_port
    return fields
