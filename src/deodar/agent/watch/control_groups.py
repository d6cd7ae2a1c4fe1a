"""The watcher of services' control groups, for hosts whose kernel does not tell of them itself.

Systemd makes a folder for each service that starts, and removes it when the service has stopped:
inotify tells of both. What the BPF part `groups` tells goes before it (`gather.service_runs`).
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from deodar.agent.gather.running_services import hierarchy
from deodar.agent.sensors.acts import CgroupChange
from deodar.agent.sensors.base import UNKNOWN_PROCESS
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.waker import Waker
from deodar.agent.threads import WatchedThread
from deodar.agent.watch.inotify import CREATE, DELETE, IGNORED, OVERFLOW, Inotify
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.settings import AgentSettings
    from deodar.agent.watch import Put
    from deodar.kit.directory import StateDirectory

HELD = 0.5
"""Seconds that a change waits, so that the kernel's own record of it is there first."""
MOST_FOLDERS = 4096
DEEPEST = 8
LONGEST_WAIT = 60.0
STOP = 5.0
_log = logger("agent.watch")


class _Held(NamedTuple):
    due: float
    records: tuple[CgroupChange, ...]


class GroupWatcher:
    """Watches the folders of one hierarchy in a thread of its own."""

    name = "groups"
    covers = "starts and stops of services"

    def __init__(
        self, _settings: AgentSettings, _directory: StateDirectory, *, root: Path | None = None
    ) -> None:
        """`root` is the hierarchy's folder; None for the one that systemd uses here."""
        self.gatherer: Gatherer | None = None
        self._root = root
        self._thread: WatchedThread | None = None
        self._groups: dict[int, str] = {}
        self._held: deque[_Held] = deque()
        self._is_closing = False

    def open(self, put: Put) -> None:
        """Begin to watch; raises SensorUnavailable when there is no hierarchy of systemd."""
        root = self._root or hierarchy()
        if root is None or not root.is_dir():
            raise SensorUnavailable("no hierarchy of control groups that systemd uses is mounted")
        try:
            self._inotify = Inotify()
        except OSError as error:
            raise SensorUnavailable(f"watching folders: {error.strerror}") from error
        self._waker = Waker()
        self._is_closing = False
        self._folder = str(root)
        self._put = put
        self._follow("", 0)
        self._thread = WatchedThread("watch-groups", self._work)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_closing = True
            self._waker.set()
            thread.join(STOP)
            self._waker.close()
            self._inotify.close()

    def _work(self) -> None:
        poll = select.poll()
        for source in (self._waker.fileno(), self._inotify.fileno()):
            poll.register(source, select.POLLIN)
        while not self._is_closing:
            wait = self._held[0].due - time.monotonic() if self._held else LONGEST_WAIT
            poll.poll(max(0.0, wait) * 1000)
            self._take_changes()
            self._hand_on()

    def _take_changes(self) -> None:
        for change in self._inotify.read():
            if change.mask & OVERFLOW:
                _log.warning("starts or stops of services were missed: too many at once")
            if change.mask & IGNORED:
                self._groups.pop(change.watch, None)
            above = self._groups.get(change.watch)
            if above is None or not change.name:
                continue
            group = f"{above}/{os.fsdecode(change.name)}"
            if change.mask & CREATE:
                self._hold(group, "made", "populated")
                self._follow(group, group.count("/"))
            elif change.mask & DELETE:
                self._hold(group, "removed")

    def _hold(self, group: str, *operations: Literal["made", "populated", "removed"]) -> None:
        if not group.endswith(".service"):
            return
        now = time.time_ns()
        records = tuple(CgroupChange(now, UNKNOWN_PROCESS, one, group) for one in operations)
        self._held.append(_Held(time.monotonic() + HELD, records))

    def _hand_on(self) -> None:
        now = time.monotonic()
        while self._held and self._held[0].due <= now:
            self._put(self._held.popleft().records)

    def _follow(self, group: str, depth: int) -> None:
        """Watch a folder and those in it: slices, and services that have services in them."""
        path = f"{self._folder}{group}"
        if depth > DEEPEST or group.endswith(".scope") or len(self._groups) >= MOST_FOLDERS:
            return
        with suppress(OSError):  # gone already, or the kernel's limit of watches is reached
            self._groups[self._inotify.add(path)] = group
            with os.scandir(path) as entries:
                names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
            for name in names:
                self._follow(f"{group}/{name}", depth + 1)
