"""From a record to an event: processes that reach into others, and files in memory only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.enrich.context import text
from deodar.agent.enrich.fields import actor_fields
from deodar.agent.enrich.registry import converts
from deodar.agent.sensors.acts import MemoryFile, ProcessAccess, ProcessTampering

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event


@converts(ProcessAccess, "process_access")
def process_access(context: Context, record: ProcessAccess) -> Event:
    """A process looked into another one."""
    return _reached(context, record)


@converts(ProcessTampering, "process_tampering")
def process_tampering(context: Context, record: ProcessTampering) -> Event:
    """A process changed the memory or the registers of another one."""
    return _reached(context, record)


@converts(MemoryFile, "memoryfile")
def memoryfile(context: Context, record: MemoryFile) -> Event:
    """A process made a file that is in memory only."""
    return {
        **actor_fields(context, record),
        "MemoryFileName": text(record.name),
        "MemoryFileFlags": record.flags,
        "MemoryFileCount": record.files,
    }


def _reached(context: Context, record: ProcessAccess) -> Event:
    return {
        **actor_fields(context, record),
        **_target_fields(context, record),
        "AccessWay": record.way,
        "AccessSize": record.size or None,
        "AccessCalls": record.calls,
    }


def _target_fields(context: Context, record: ProcessAccess) -> Event:
    target = context.processes.find(record.target)
    if target is None:
        return {
            "TargetSystemPid": record.target.pid or None,
            "TargetUniquePid": context.unique_pids.of(record.target),
        }
    return {
        "TargetSystemPid": target.key.pid,
        "TargetUniquePid": context.unique_pids.of(target.key),
        "TargetFileFullName": target.image.exe,
        "TargetStartupParameters": target.image.command_line,
        "TargetProcessUserName": context.users.name(target.euid),
    }
