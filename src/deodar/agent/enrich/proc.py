"""What /proc knows about a process that is still alive (see proc(5) for the files)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.enrich.identity import CLOCK_TICK_NS
from deodar.agent.sensors.base import NOT_SET, UNKNOWN_PROCESS, ProcessKey

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
MAXIMUM_COMMAND_LINE = 64 * 1024
MAXIMUM_CONTROL_GROUPS = 16 * 1024
_CONTAINER = re.compile(rb"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.MULTILINE)
_MACHINE = re.compile(
    rb"/(?:machine-([^/\n]+)\.scope|systemd-nspawn@([^/\n]+)\.service)(?:/|$)", re.MULTILINE
)
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
MAXIMUM_STATUS = 8192


@dataclass(frozen=True, slots=True)
class ProcStat:
    """The parts of /proc/PID/stat that are used here."""

    parent_pid: int
    start: int
    """ns of the boot time clock, to the tick."""
    terminal: int
    """Device number of the controlling terminal, 0 for none."""
    comm: bytes


@dataclass(frozen=True, slots=True)
class LiveProcess:
    """A process as found in /proc; texts that could not be read are empty."""

    key: ProcessKey
    parent: ProcessKey
    exe: bytes
    argv: tuple[bytes, ...]
    comm: bytes
    uid: int
    euid: int
    login_uid: int | None
    session_id: int | None
    cwd: bytes
    tty: str
    mount_ns: int
    """Number of its mount namespace; 0 when it could not be read."""


def every_process(proc: Path = PROC) -> Iterator[LiveProcess]:
    """Yield each process of the host, as far as it lives long enough to be read."""
    with os.scandir(proc) as entries:
        pids = sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
    for pid in pids:
        found = live_process(pid, proc)
        if found is not None:
            yield found


def live_process(pid: int, proc: Path = PROC) -> LiveProcess | None:
    """Return one process, or None when there is none."""
    folder = proc / str(pid)
    stat = read_stat(folder)
    if stat is None:
        return None
    parent = read_stat(proc / str(stat.parent_pid)) if stat.parent_pid else None
    uid, euid = _user_ids(folder)
    return LiveProcess(
        key=ProcessKey(pid, stat.start),
        parent=ProcessKey(stat.parent_pid, parent.start) if parent else UNKNOWN_PROCESS,
        exe=link_target(folder / "exe"),
        argv=_arguments(folder),
        comm=stat.comm,
        uid=uid,
        euid=euid,
        login_uid=_number_or_none(folder / "loginuid"),
        session_id=_number_or_none(folder / "sessionid"),
        cwd=link_target(folder / "cwd"),
        tty=terminal_name(stat.terminal),
        mount_ns=_namespace(folder / "ns/mnt"),
    )


def read_stat(folder: Path) -> ProcStat | None:
    """Return the stat file of a process's folder, or None when the process is gone."""
    try:
        text = (folder / "stat").read_bytes()
    except OSError:
        return None
    comm, _, rest = text.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    return ProcStat(
        parent_pid=int(fields[1]),
        start=int(fields[19]) * CLOCK_TICK_NS,
        terminal=int(fields[4]),
        comm=comm,
    )


def terminal_name(device: int) -> str:
    """Return the name below /dev of a terminal's device number, "" if it is none that we know."""
    major, minor = os.major(device), os.minor(device)
    if 136 <= major <= 143:
        return f"pts/{(major - 136) * 256 + minor}"
    if major == 4:
        return f"tty{minor}" if minor < 64 else f"ttyS{minor - 64}"
    return ""


def container_id(pid: int, proc: Path = PROC) -> str | None:
    """Return the id of the container that a live process runs in, "" for none.

    Docker, containerd, CRI-O and Podman all name the control group after the 64 hex digits of
    the container; systemd after the name of a machine, which is its id here. Returns None when
    the process is gone.
    """
    try:  # by descriptor: half the time of a file object, and this is done at every start
        descriptor = os.open(f"{proc}/{pid}/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(descriptor, MAXIMUM_CONTROL_GROUPS)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if (found := _CONTAINER.search(text)) is not None:
        return found[1].decode("ascii")
    if (machine := _MACHINE.search(text)) is not None:
        name = _ESCAPED.sub(lambda code: bytes([int(code[1], 16)]), machine[1] or machine[2])
        return name.decode("utf-8", "replace")
    return ""


def inner_pid(pid: int, proc: Path = PROC) -> int:
    """Return a live process's number in its own pid namespace; 0 when it is gone, or has no other.

    Kernels before 4.1 do not tell.
    """
    try:
        with (proc / str(pid) / "status").open("rb") as file:
            text = file.read(MAXIMUM_STATUS)
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith(b"NSpid:"):
            numbers = line.split()[1:]
            return int(numbers[-1]) if len(numbers) > 1 else 0
    return 0


def _arguments(folder: Path) -> tuple[bytes, ...]:
    try:
        with (folder / "cmdline").open("rb") as file:
            text = file.read(MAXIMUM_COMMAND_LINE)
    except OSError:
        return ()
    return tuple(text.removesuffix(b"\0").split(b"\0")) if text else ()


def link_target(path: str | Path) -> bytes:
    """Return where a link of /proc leads to; b"" when the process is gone or not ours to see."""
    try:
        return os.readlink(os.fsencode(path)).removesuffix(b" (deleted)")  # noqa: PTH115 - bytes
    except OSError:
        return b""


def _namespace(link: Path) -> int:
    """Return the number of a namespace, which its link tells as "mnt:[4026531841]"."""
    number = link_target(link).rpartition(b"[")[2].removesuffix(b"]")
    return int(number) if number.isdigit() else 0


def _user_ids(folder: Path) -> tuple[int, int]:
    try:
        for line in (folder / "status").read_bytes().splitlines():
            if line.startswith(b"Uid:"):
                fields = line.split()
                return int(fields[1]), int(fields[2])
    except OSError:
        pass
    return 0, 0


def _number_or_none(path: Path) -> int | None:
    try:
        number = int(path.read_bytes())
    except (OSError, ValueError):
        return None
    return None if number == NOT_SET else number
