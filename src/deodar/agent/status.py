"""What the running agent tells about itself, over the control socket and in a small file.

The file still answers when the agent hangs, and stays behind to be read after its end. How it is
shown to people is in `deodar.agent.status_text`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.certificate_facts import CertificateFacts  # noqa: TC001 - msgspec needs it
from deodar.agent.coverage import KindCoverage  # noqa: TC001
from deodar.agent.enrich.proc import read_stat

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

FILE = "status.json"
LARGEST = 4 << 20


class TaskStatus(msgspec.Struct, frozen=True):
    """One task; the fields are those of `deodar.agent.tasks.manager.TaskState`."""

    id: int
    name: str
    type: str
    state: str
    error: str = ""
    """Why it does not run, though it should."""
    since: float = 0.0


class RefusedSensor(msgspec.Struct, frozen=True):
    """A sensor that was tried before the one in use."""

    name: str
    reason: str


class SensorStatus(msgspec.Struct, frozen=True):
    """The sensor in use."""

    name: str
    tier: str
    refused: list[RefusedSensor] = []
    spare: list[str] = []
    """Sensors that would be tried next, and were not needed."""
    advice: list[str] = []
    """What an administrator should do about this host."""
    received: int = 0
    lost: int = 0
    malformed: int = 0


class ExclusionsStatus(msgspec.Struct, frozen=True):
    """The trusted programs."""

    in_force: bool = False
    rules: int = 0
    excluded: int = 0
    """Records of trusted programs since the start."""
    note: str = ""
    """Why they are not in force, such as "not applied: MDR integration is on"."""


class ThrottleStatus(msgspec.Struct, frozen=True):
    """Holding back frequent events of low importance."""

    on: bool = True
    active_since: float | None = None
    """Since when events are held back; None while none are."""
    held_back: int = 0


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


class HashStatus(msgspec.Struct, frozen=True):
    """Hashing of files; the fields are those of `deodar.agent.enrich.hashes.HashCounters`."""

    hits: int = 0
    misses: int = 0
    timeouts: int = 0
    failures: int = 0
    waiting: int = 0
    starts: int = 0
    pid: int | None = None
    processor_seconds: float = 0.0
    memory_bytes: int = 0
    """Of the hash process."""
    skipped: dict[str, int] = {}
    """Files by the reason why facts about them are missing."""
    limited: dict[str, int] = {}
    """The same, where the settings want it so."""


class SpoolStatus(msgspec.Struct, frozen=True):
    """What waits for the server."""

    packets: int = 0
    events: int = 0
    bytes: int = 0
    limit_bytes: int = 0
    oldest_seconds: float = 0.0
    held_packets: int = 0
    """Packets that wait in memory because the disk takes none."""
    disk_error: str = ""


class UplinkStatus(msgspec.Struct, frozen=True):
    """The way to the server; counts since the start."""

    state: str
    """"stopped" while KATAEDR is stopped."""
    problem: str = ""
    server: str = ""
    """The one in use, host:port."""
    servers: list[str] = []
    """All, in the order in which they are tried."""
    proxy: str = ""
    """host:port, never with a password; "" without one."""
    last_contact: float | None = None
    """When a server last answered, also before the agent's start."""
    last_sync: float | None = None
    clock_offset: float | None = None
    """Seconds by which the server's clock is ahead of this host's."""
    sending: bool = True
    why_not: str = ""
    packets: int = 0
    events: int = 0
    dead_events: int = 0
    duplicates: int = 0
    failures: int = 0
    set_aside: int = 0


class PolicyStatus(msgspec.Struct, frozen=True):
    """The server's policy; version 0: there is none."""

    version: int = 0
    name: str = ""
    problem: str = ""
    """Why a newer one was not taken."""


class CertificatesStatus(msgspec.Struct, frozen=True):
    """The server's pinned certificate, and the agent's own."""

    known: list[CertificateFacts] = []
    problems: list[str] = []


class LossStatus(msgspec.Struct, frozen=True):
    """Events lost at one place for one reason."""

    stage: str
    reason: str
    count: int


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. Times are seconds since the epoch."""

    time: float
    started: float
    pid: int
    process_start: int
    """Start of the process in ns of the boot time clock: tells it from a later one of that pid."""
    version: str
    agent_id: str
    memory_bytes: int
    """What its processes occupy, all together."""
    tasks: list[TaskStatus] = []
    sensor: SensorStatus | None = None
    """None while Behavior_Detection is stopped."""
    exclusions: ExclusionsStatus = ExclusionsStatus()
    throttle: ThrottleStatus = ThrottleStatus()
    pipeline: PipelineStatus = PipelineStatus()
    hashes: HashStatus = HashStatus()
    spool: SpoolStatus = SpoolStatus()
    uplink: UplinkStatus = UplinkStatus("stopped")
    policy: PolicyStatus = PolicyStatus()
    certificates: CertificatesStatus = CertificatesStatus()
    settings_problems: list[str] = []
    losses: list[LossStatus] = []
    """Since the start; perhaps not all, `losses_by_stage` is complete."""
    losses_by_stage: dict[str, int] = {}
    """Lost events since the start."""
    coverage: list[KindCoverage] = []
    """Which kinds of telemetry can be seen on this host."""

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
        with (directory.path / FILE).open("rb") as file:
            return msgspec.json.decode(file.read(LARGEST), type=AgentStatus)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def from_wire(data: Any) -> AgentStatus:
    """Return the status that came over the control socket; raises msgspec.ValidationError."""
    return msgspec.convert(data, AgentStatus)


def as_dict(status: AgentStatus, *, running: bool) -> dict[str, Any]:
    """Return the status as plain values, with ``running`` first."""
    return {"running": running, **msgspec.to_builtins(status)}


def memory_of(*pids: int | None) -> int:
    """Return the bytes of memory that these processes occupy together, 0 for one that is gone."""
    return sum(_resident_pages(pid) for pid in pids if pid) * os.sysconf("SC_PAGE_SIZE")


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError):
        return 0


def own_start() -> int:
    """Return the start of this process in ns of the boot time clock."""
    stat = read_stat(Path("/proc/self"))
    return stat.start if stat else 0
