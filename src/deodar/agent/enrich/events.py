"""From a record to an event: the starts, copies and ends of processes.

Field names and units are those of deodar.events.vocabulary; a field that is not known is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.enrich.fields import content_fields, parent_ids
from deodar.agent.enrich.fragments import of_owner, of_parent, of_process, of_start
from deodar.agent.enrich.registry import Told, converts
from deodar.agent.sensors.acts import RunningProcess
from deodar.agent.sensors.base import Exec, Exit, Fork

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.enrich.registry import Event


@converts(Exec, "process")
def process(context: Context, record: Exec) -> Told:
    """A program was started."""
    process = context.started(record)
    own: Event = {}
    if record.argv_truncated:
        own["StartupParametersTruncated"] = 1
    if record.deleted:
        own["FileDeleted"] = 1
    if record.in_memory:
        own["FileMemoryBacked"] = 1
    if process.tty:
        own["LogonRemoteHost"] = context.logons.remote_host(process.tty)
    start = of_start(context, record, process)
    return Told(own, (start, of_process(context, process), of_parent(context, process)))


@converts(RunningProcess, "process")
def already_running(context: Context, record: RunningProcess) -> Told:
    """A program was started before the agent was; it is told when the agent starts."""
    process = context.processes.find(record.key)
    own: Event = {"AlreadyRunning": 1}
    if process is None:
        return Told(own, (of_owner(context, record.key, process),))
    own |= content_fields(context, process)
    own["LogonRemoteHost"] = context.logons.remote_host(process.tty)
    return Told(own, (of_process(context, process), of_parent(context, process)))


@converts(Fork, "process_fork")
def process_fork(context: Context, record: Fork) -> Told:
    """A process made a copy of itself that runs no other program, or not at once."""
    known = context.processes.get(record.child) if record.child.start else None
    child = known or context.forked(record)
    return Told({}, (of_process(context, child), of_parent(context, child)))


@converts(Exit, "process_terminate")
def process_terminate(context: Context, record: Exit) -> Told:
    """A process ended, by itself or by a signal."""
    process = context.ended(record)
    own: Event = {
        "ExitCode": None if record.signal else record.exit_code,
        "RunTimeUs": record.run_time_ns // 1000 or None,
        "EndTime": record.time_ns // 1000,
        "ExitSignal": record.signal or None,
    }
    if process is not None:
        own.update(parent_ids(context, process))
        if not process.image.is_told:
            own.update(content_fields(context, process))
    fragment = of_owner(context, record.key, process)
    if process is not None:
        process.told = None  # it has acted for the last time, and stays in the table for a while
    return Told(own, (fragment,))
