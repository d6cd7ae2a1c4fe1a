"""The table of processes, so that an event can name its process and its parent.

A process is kept for some time after its end: its children may start just then. Forks share the
image (program, arguments, hashes) with their parent until they run another program, as they do in
the kernel, so that the table stays small.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deodar.agent.enrich.identity import place
from deodar.agent.sensors.base import UNKNOWN_PROCESS, ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deodar.agent.enrich.fragments import Fragment
    from deodar.agent.enrich.hashes import FileFacts

MOST_EXPECTED = 8192
KEPT_AFTER_EXIT_NS = 15 * 1_000_000_000


@dataclass(slots=True)
class Image:
    """A program being run: shared by the forks of the process that started it."""

    exe: str = ""
    command_line: str = ""
    facts: FileFacts | None = None
    looked_up: bool = False
    """Whether the file was already asked for its facts."""
    is_told: bool = True
    """Whether an event has told all of them: if not, one at the end of the process does."""


@dataclass(slots=True)
class Process:
    """What is known about one process."""

    key: ProcessKey
    parent: ProcessKey = UNKNOWN_PROCESS
    image: Image = field(default_factory=Image)
    uid: int = 0
    euid: int = 0
    login_uid: int | None = None
    session_id: int | None = None
    cwd: str = ""
    tty: str = ""
    container_id: str = ""
    container_pid: int = 0
    """Its number in the container; 0 when it is not known."""
    cgroup_id: int = 0
    mount_ns: int = 0
    """Number of its mount namespace; 0 when it is not known."""
    ended: bool = False
    trust: int | None = None
    """How far the exclusions in force trust it (exclusions.Trust); None when not asked yet."""
    told: tuple[FileFacts | None, Fragment] | None = None
    """What events say of it (enrich.fragments), and the facts that this was made with."""
    told_as_parent: tuple[FileFacts | None, Fragment] | None = None
    """What events of its children say of it."""


class ProcessTable:
    """Processes by key; bounded, the longest dead leave first, then the oldest.

    `find_live` is asked for processes that started before the table: it returns a Process or None.
    """

    def __init__(self, limit: int, find_live: Callable[[int], Process | None]) -> None:
        self._limit = limit
        self._find_live = find_live
        self._processes: dict[int, Process] = {}
        """By the place of their keys (`identity.place`), as everything here."""
        self._newest: dict[int, int] = {}
        self._ended: deque[tuple[int, int, int]] = deque()
        """When they ended, their places and pids."""
        self._expected: dict[int, Callable[[], Process]] = {}

    def __len__(self) -> int:
        return len(self._processes)

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def get(self, key: ProcessKey) -> Process | None:
        """Return the process of a key; with a start of 0, the newest one of that pid."""
        at = place(key) if key.start else self._newest.get(key.pid, key.pid)
        found = self._processes.get(at)
        if found is None and at in self._expected:
            found = self._expected.pop(at)()
            self.put(found)
        return found

    def find(self, key: ProcessKey) -> Process | None:
        """Return the process of a key from the table, else from the host if it still lives."""
        process = self.get(key)
        if process is None and key.pid:
            process = self._find_live(key.pid)
            if process is None or (key.start and place(process.key) != place(key)):
                return None
            self.put(process)
        return process

    def put(self, process: Process) -> None:
        """Remember a process, in place of what was known under its key."""
        key = process.key
        at = place(key)
        self._processes[at] = process
        self._newest[key.pid] = at
        if self._expected:
            self._expected.pop(at, None)
        if len(self._processes) > self._limit:
            self._make_room()

    def expect(self, key: ProcessKey, make: Callable[[], Process]) -> None:
        """Let `make` tell of a process when it is first asked for: most of them never are.

        `put` ends it. When too many are waited for, the oldest is made now.
        """
        at = place(key)
        self._expected[at] = make
        self._newest[key.pid] = at
        if len(self._expected) > MOST_EXPECTED:
            self.put(self._expected.pop(next(iter(self._expected)))())

    def forget_trust(self) -> None:
        """Let the trust of every process be found out anew: the exclusions have changed."""
        for process in self._processes.values():
            process.trust = None

    def end(self, process: Process, time_ns: int) -> None:
        """Note that a process has ended; it is forgotten some seconds later."""
        if not process.ended:
            process.ended = True
            self._ended.append((time_ns, place(process.key), process.key.pid))
        while self._ended and self._ended[0][0] < time_ns - KEPT_AFTER_EXIT_NS:
            self._forget(*self._ended.popleft()[1:])

    def _make_room(self) -> None:
        if self._ended:
            self._forget(*self._ended.popleft()[1:])
        else:
            at, oldest = next(iter(self._processes.items()))
            self._forget(at, oldest.key.pid)

    def _forget(self, at: int, pid: int) -> None:
        self._processes.pop(at, None)
        if self._newest.get(pid) == at:
            del self._newest[pid]
