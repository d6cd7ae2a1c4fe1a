"""What /proc tells about a process, for sensors that get little more than a pid.

A short process is gone before anyone looks: whatever cannot be read any more is left at its default
and the result marked as incomplete. Formats as in proc(5).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from deodar.agent.sensors.base import NOT_SET, UNKNOWN_PROCESS, Exec, FileIdentity, ProcessKey
from deodar.agent.sensors.decode import split_argv

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
MOST_KEYS = 65536


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of /proc/PID/stat that matter here."""

    key: ProcessKey
    parent: int
    comm: bytes
    state: str
    terminal: str
    threads: int


def read_stat(pid: int) -> Stat | None:
    """Return what stat says about a process; None when it is gone."""
    raw = _content(pid, "stat")
    if raw is None:
        return None
    head, _, rest = raw.rpartition(b") ")
    field = rest.split()
    return Stat(
        ProcessKey(pid, int(field[19]) * TICK_NS),
        int(field[1]),
        head.partition(b"(")[2],
        field[0].decode(),
        terminal_name(int(field[4])),
        int(field[17]),
    )


def host_pid(caller: int, number: int) -> int:
    """Return the number, in this namespace, of the process that a caller in any of them means.

    A thread's number gives its process. 0 when it cannot be found any more.
    """
    space = _link(caller, "ns/pid")
    if space is None or space == _link(os.getpid(), "ns/pid"):
        return _group(_content(number, "status")) or number
    for name in os.listdir("/proc"):  # noqa: PTH208 - twice as fast
        if name.isdecimal() and _link(int(name), "ns/pid") == space:
            status = _content(int(name), "status")
            if _status_line(status, b"NSpid").split()[-1:] == [b"%d" % number]:
                return int(name)
    return 0


def _group(status: bytes | None) -> int:
    return int(_status_line(status, b"Tgid") or 0)


def _status_line(status: bytes | None, name: bytes) -> bytes:
    found = (line for line in (status or b"").splitlines() if line.startswith(name + b":"))
    return next(found, b"").partition(b":")[2].strip()


def terminal_name(number: int) -> str:
    """Return the name in /dev of a terminal's device number; "" for none."""
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    if 136 <= major < 144:
        return f"pts/{(major - 136) * 256 + minor}"
    if major == 4:
        return f"tty{minor}" if minor < 64 else f"ttyS{minor - 64}"
    return {(5, 0): "tty", (5, 1): "console"}.get((major, minor), "")


class Keys:
    """The key of each process seen, so that its records agree even after /proc forgot it.

    A process that was gone before it was first looked up gets the time of its first event as start.
    """

    def __init__(self) -> None:
        self._known: dict[int, ProcessKey] = {}
        self._parents: dict[int, ProcessKey] = {}

    def of(self, pid: int, stat: Stat | None, event_ns: int) -> ProcessKey:
        """Return the key of a process, given what /proc says now and when the event was.

        `event_ns` is in ns of the boot time clock.
        """
        if pid <= 0:
            return UNKNOWN_PROCESS
        if stat is not None:
            return self._keep(stat.key)
        return self._known.get(pid) or self._keep(ProcessKey(pid, event_ns))

    def parent(self, pid: int) -> ProcessKey:
        """Return the parent that was noted for a process; UNKNOWN_PROCESS when none was."""
        return self._parents.get(pid, UNKNOWN_PROCESS)

    def note_parent(self, pid: int, parent: ProcessKey) -> None:
        """Remember who made a process."""
        if pid in self._known:
            self._parents[pid] = parent

    def end(self, pid: int) -> ProcessKey | None:
        """Forget a process that ended; returns its key, None when it was never seen."""
        self._parents.pop(pid, None)
        return self._known.pop(pid, None)

    def _keep(self, key: ProcessKey) -> ProcessKey:
        if len(self._known) >= MOST_KEYS:
            self.end(next(iter(self._known)))
        self._known[key.pid] = key
        return key


def fill(record: Exec) -> None:
    """Add to a record what /proc knows, over what is there; marks it when a part was gone."""
    pid = record.key.pid
    status = _content(pid, "status")
    command = _content(pid, "cmdline")
    exe, cwd = _link(pid, "exe"), _link(pid, "cwd")
    if status is None or command is None or exe is None or cwd is None:
        record.complete = False
    if status is not None:
        _fill_ids(record, status)
    if command and not record.argv:
        record.argv = split_argv(command)
    path = exe or record.exe
    record.exe = path.removesuffix(b" (deleted)")
    record.in_memory = path.startswith(b"/memfd:") and path != record.exe
    record.cwd = cwd or record.cwd
    _fill_file(record)
    _fill_groups(record)


def _fill_ids(record: Exec, status: bytes) -> None:
    lines = dict(line.split(b":\t", 1) for line in status.splitlines() if b":\t" in line)
    record.uid, record.euid, record.suid = map(int, lines[b"Uid"].split()[:3])
    record.gid, record.egid = map(int, lines[b"Gid"].split()[:2])
    record.caps = int(lines[b"CapEff"], 16)
    record.comm = record.comm or lines[b"Name"]


def _fill_file(record: Exec) -> None:
    for path in (f"/proc/{record.key.pid}/exe", os.fsdecode(record.exe)):
        try:
            found = os.stat(path)  # noqa: PTH116  # Path("") would be the current folder
        except OSError:
            continue
        record.inode = FileIdentity(
            found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        )
        record.deleted, record.mode = found.st_nlink == 0, found.st_mode
        return


def _fill_groups(record: Exec) -> None:
    pid = record.key.pid
    login, session = _number(pid, "loginuid"), _number(pid, "sessionid")
    record.login_uid = record.login_uid if login in (None, NOT_SET) else login
    record.session_id = record.session_id if session in (None, NOT_SET) else session
    record.mount_ns, record.pid_ns = _namespace(pid, "mnt"), _namespace(pid, "pid")
    groups = (_content(pid, "cgroup") or b"").splitlines()
    path = next((line[3:] for line in groups if line.startswith(b"0::")), None)
    record.cgroup_id = cgroup_id(path) if path else 0


@lru_cache(maxsize=1)
def cgroup_root() -> bytes | None:
    """Return where the cgroup2 hierarchy is mounted; None if nowhere."""
    for line in Path("/proc/self/mounts").read_bytes().splitlines():
        fields = line.split()
        if fields[2] == b"cgroup2":
            return fields[1]
    return None


@lru_cache(maxsize=4096)
def cgroup_id(path: bytes) -> int:
    """Return the id of a cgroup2 group by its path in the hierarchy; 0 when it is not there."""
    root = cgroup_root()
    try:
        return Path(os.fsdecode(root + path)).stat().st_ino if root else 0
    except OSError:
        return 0


def _content(pid: int, name: str) -> bytes | None:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return None


def _link(pid: int, name: str) -> bytes | None:
    try:
        return os.fsencode(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return None


def _number(pid: int, name: str) -> int | None:
    raw = _content(pid, name)
    return int(raw) if raw else None


def _namespace(pid: int, name: str) -> int:
    text = _link(pid, f"ns/{name}") or b""
    digits = text.rpartition(b"[")[2].rstrip(b"]")
    return int(digits) if digits.isdigit() else 0
