"""What the running agent tells about itself: a small file, written every second.

A file rather than a socket: it needs no thread, still answers when the agent hangs, and stays
behind to be read after its end.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from deodar.agent.enrich.proc import read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.kit.directory import StateDirectory

FILE = "status.json"


class RefusedSensor(msgspec.Struct, frozen=True):
    """A sensor that was tried before the one in use."""

    name: str
    reason: str


class SensorStatus(msgspec.Struct, frozen=True):
    """The sensor in use."""

    name: str
    tier: str
    refused: list[RefusedSensor] = []
    received: int = 0
    lost: int = 0
    malformed: int = 0


class PipelineStatus(msgspec.Struct, frozen=True):
    """From the sensor to the spool; records and events since the start."""

    waiting: int = 0
    records: int = 0
    events: int = 0
    failed: int = 0
    processes: int = 0
    """Processes remembered."""
    hash_hits: int = 0
    hash_misses: int = 0
    hash_timeouts: int = 0
    hash_failures: int = 0


class SpoolStatus(msgspec.Struct, frozen=True):
    """What waits for the server."""

    packets: int = 0
    events: int = 0
    bytes: int = 0
    held_packets: int = 0
    disk_error: str = ""


class UplinkStatus(msgspec.Struct, frozen=True):
    """The way to the server, since the start."""

    state: str
    problem: str = ""
    last_contact: float | None = None
    """Seconds since the epoch."""
    packets: int = 0
    events: int = 0
    dead_events: int = 0
    duplicates: int = 0
    failures: int = 0
    set_aside: int = 0


class AgentStatus(msgspec.Struct, frozen=True):
    """The whole file. Times are seconds since the epoch."""

    time: float
    started: float
    pid: int
    process_start: int
    """Start of the process in ns of the boot time clock: tells it from a later one of that pid."""
    version: str
    agent_id: str
    server: str
    memory_bytes: int
    sensor: SensorStatus
    pipeline: PipelineStatus
    spool: SpoolStatus
    uplink: UplinkStatus
    losses: dict[str, int] = {}
    """Lost events by stage."""

    def is_running(self) -> bool:
        """Whether the agent that wrote this still runs."""
        stat = read_stat(Path("/proc") / str(self.pid))
        return stat is not None and stat.start == self.process_start


def write(directory: StateDirectory, status: AgentStatus) -> None:
    """Replace the status file in one step. Not synced: it is worth nothing after a power cut."""
    target = directory.path / FILE
    aside = target.with_name(f".{FILE}.new")
    aside.write_bytes(msgspec.json.format(msgspec.json.encode(status), indent=2) + b"\n")
    aside.replace(target)


def read(directory: StateDirectory) -> AgentStatus | None:
    """Return what the agent told last, or None when it never ran or its file is damaged."""
    try:
        return msgspec.json.decode((directory.path / FILE).read_bytes(), type=AgentStatus)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def own_memory() -> int:
    """Return the bytes of memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def own_start() -> int:
    """Return the start of this process in ns of the boot time clock."""
    stat = read_stat(Path("/proc/self"))
    return stat.start if stat else 0


class CertificateDates(msgspec.Struct, frozen=True):
    """From when until when the server takes this agent's certificate, ISO 8601."""

    begin: str
    end: str


def as_json(status: AgentStatus, dates: CertificateDates) -> str:
    """Return the status as one JSON object, with ``running`` and ``certificate`` added."""
    more = {"running": status.is_running(), "certificate": dates}
    return msgspec.json.encode({**more, **msgspec.to_builtins(status)}).decode()


def render(status: AgentStatus, dates: CertificateDates, now: float) -> str:
    """Return the status as lines for people."""
    lines = [*_lines(status, now), ("certificate", f"valid from {dates.begin} to {dates.end}")]
    return "\n".join(f"{name:<12} {text}" for name, text in lines)


def _lines(status: AgentStatus, now: float) -> Iterator[tuple[str, str]]:
    running = status.is_running()
    since = f"pid {status.pid}, for {_duration(status.time - status.started)}"
    yield "agent", f"running ({since})" if running else f"not running (last: {since})"
    yield "id", f"{status.agent_id}, version {status.version}"
    yield "server", f"{status.server}: {_server(status.uplink, now)}"
    if status.uplink.problem:
        yield "problem", status.uplink.problem
    sensor = status.sensor
    yield "sensor", f"{sensor.name} ({sensor.tier}), {sensor.received} received, {sensor.lost} lost"
    for refused in sensor.refused:
        yield "refused", f"{refused.name}: {refused.reason}"
    yield "events", f"{status.pipeline.events} made, {status.uplink.events} delivered"
    yield "waiting", _waiting(status)
    if status.spool.disk_error:
        yield "disk", status.spool.disk_error
    if status.uplink.dead_events:
        yield "dead letters", f"{status.uplink.dead_events} events that the server could not use"
    losses = ", ".join(f"{count} in {stage}" for stage, count in sorted(status.losses.items()))
    yield "lost", losses or "none"
    yield "memory", f"{status.memory_bytes / 1e6:.1f} MB"


def _server(uplink: UplinkStatus, now: float) -> str:
    contact = "never reached"
    if uplink.last_contact is not None:
        contact = f"last contact {_duration(now - uplink.last_contact)} ago"
    return f"{uplink.state}, {contact}"


def _waiting(status: AgentStatus) -> str:
    spool = status.spool
    return (
        f"{status.pipeline.waiting} records in the queue, {spool.events} events "
        f"in {spool.packets} packets ({spool.bytes / 1e6:.1f} MB) in the spool"
    )


def _duration(seconds: float) -> str:
    seconds = max(0, round(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
