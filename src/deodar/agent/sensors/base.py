"""The seam between the sensors and the rest of the agent: records, the sensor protocol, counters.

Every sensor, whatever kernel interface it stands on, yields these same records. What a sensor
cannot know it leaves at the field's default and sets ``complete`` to False, so that a reader can
tell "empty" from "not seen". Texts from the kernel stay bytes: file names and arguments need not
be UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from deodar.agent.sensors.file_policy import FilePolicy

Direction = Literal["outbound", "inbound"]
NOT_SET = 0xFFFFFFFF
"""What the kernel keeps as login uid and session id of a process without a logon."""


class ProcessKey(NamedTuple):
    """One process for ever: pids are used again, a pid with its start time is not."""

    pid: int
    """Process id (thread group id) as the initial pid namespace sees it; 0 when not known."""
    start: int
    """Start of the process in ns of the boot time clock; 0 when not known.

    Sensors that read it from /proc know it to the clock tick (10 ms), rounded down; so keys of
    different sources are the same process when `start // 10_000_000` and the pid agree.
    """


UNKNOWN_PROCESS = ProcessKey(0, 0)


class FileIdentity(NamedTuple):
    """What tells one content of a file from another without reading it."""

    dev: int
    """Device as `os.stat` gives it in st_dev (btrfs shows another number there)."""
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(slots=True)
class Exec:
    """A process began to run a program."""

    time_ns: int
    """Wall clock, ns since the epoch."""
    key: ProcessKey
    parent: ProcessKey
    argv: list[bytes]
    argv_truncated: bool = False
    """More arguments were passed than the sensor takes; the last one given may be cut."""
    exe: bytes = b""
    """Absolute path of the program (of the interpreter, for a script)."""
    cwd: bytes = b""
    filename: bytes = b""
    """The path as passed to execve: for a script, the script's; may be relative."""
    comm: bytes = b""
    tty: str = ""
    """Name of the controlling terminal as in /dev, such as "pts/0"; "" when there is none."""
    uid: int = 0
    gid: int = 0
    euid: int = 0
    egid: int = 0
    suid: int = 0
    login_uid: int | None = None
    """User id at logon, kept over su and sudo; None when nobody logged on."""
    session_id: int | None = None
    """Audit session of the logon; None when nobody logged on."""
    cgroup_id: int = 0
    """Inode number of the process's group in the cgroup2 hierarchy."""
    inode: FileIdentity | None = None
    deleted: bool = False
    """The program's file has no name in any folder: deleted, or in memory only."""
    mode: int = 0
    """st_mode of the program's file; 0 when not known."""
    mount_ns: int = 0
    pid_ns: int = 0
    caps: int = 0
    """Effective capabilities as a bit mask."""
    complete: bool = True
    """False when the process was gone, or the sensor is not able, before all could be read."""
    in_memory: bool = False
    """The program's file is deleted and was never on a disk: a memfd, or one of a tmpfs."""


@dataclass(slots=True)
class Fork:
    """A process made another one; threads are not reported."""

    time_ns: int
    child: ProcessKey
    parent: ProcessKey
    uid: int = 0
    gid: int = 0
    euid: int = 0
    egid: int = 0
    login_uid: int | None = None
    session_id: int | None = None
    comm: bytes = b""
    complete: bool = True


@dataclass(slots=True)
class Exit:
    """A process ended: its last thread is gone."""

    time_ns: int
    key: ProcessKey
    exit_code: int = 0
    """What the process passed to exit, 0 to 255; 0 when a signal ended it."""
    signal: int = 0
    """Number of the signal that ended it, 0 when none did."""
    run_time_ns: int = 0
    """From start to end; 0 when the start is not known."""
    complete: bool = True


@dataclass(slots=True)
class Act:
    """Something that a process did; the base of all records of that kind."""

    time_ns: int
    """Wall clock, ns since the epoch."""
    key: ProcessKey
    """The process that did it; pid 0 when not known."""


@dataclass(slots=True)
class Connection(Act):
    """A connection was made, came in, or was tried in vain; of UDP, its first datagram passed.

    `key` is the process that connected, or that listens on the port.
    """

    direction: Direction
    family: int
    """socket.AF_INET or socket.AF_INET6."""
    protocol: int
    """IP protocol number, such as socket.IPPROTO_TCP."""
    local_ip: str
    local_port: int
    remote_ip: str
    remote_port: int
    uid: int = 0
    """Owner of the socket."""
    established: bool = True
    """False for an outbound attempt that was refused or timed out."""
    error: int = 0
    """Number of errno with which an attempt failed; 0 when it is not known."""


@dataclass(slots=True)
class Listen(Act):
    """A process opened a port for others."""

    local_ip: str
    local_port: int
    protocol: int
    family: int = 0
    uid: int = 0


@dataclass(slots=True)
class Lost:
    """Events that were generated but never came: how many, where, and why."""

    time_ns: int
    count: int
    stage: str
    """Where they were lost: the name of the sensor, such as "bpf"."""
    reason: str
    event: str = ""
    """What was lost: "exec", "fork", "exit", "connection", "listen"; "" when not known."""


Record = Exec | Fork | Exit | Act | Lost


class SensorCounters(NamedTuple):
    """Totals since the sensor was opened."""

    received: int
    lost: int
    """Events the kernel could not hand over (each is also told by a `Lost` record)."""
    malformed: int = 0
    """Records that could not be decoded (each is also told by a `Lost` record)."""


@runtime_checkable
class FollowsFilePolicy(Protocol):
    """A sensor that sees changes of files, and can be told which of them are wanted."""

    def follow(self, policy: FilePolicy) -> None:
        """Follow another policy from now on. For any thread; raises OSError."""
        ...


class Sensor(Protocol):
    """One way to watch the host."""

    name: str
    """Its name in the registry: "bpf", "audit" or "proc"."""
    advice: list[str]
    """What an administrator should do about this host, now that this sensor is in use."""
    refused: list[tuple[str, str]]
    """Parts of it that do not work on this host, and why."""

    @property
    def sources(self) -> list[str]:
        """The names of its parts that work, as the kinds of telemetry know them."""
        ...

    @property
    def tier(self) -> str:
        """What it covers, for people, such as "eBPF: processes and TCP"."""
        ...

    def open(self) -> None:
        """Begin to watch; raises SensorUnavailable, having undone what it did, when it cannot."""
        ...

    def read(self, timeout: float) -> list[Record]:
        """Wait up to `timeout` seconds for records; returns a batch, [] on timeout or if closed.

        May be called from any thread, by one at a time; others wait.
        """
        ...

    def interrupt(self) -> None:
        """Let a `read` that waits, or the next one, return at once. From any thread."""
        ...

    def counters(self) -> SensorCounters:
        """Totals since `open`."""
        ...

    def close(self) -> None:
        """Stop watching and leave nothing behind; does nothing when closed already."""
        ...
