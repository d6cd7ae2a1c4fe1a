"""The watcher of the host's lasting state: accounts, scheduled tasks, services.

What is there now is compared with what was there before, so no tool can avoid it. When to look is
told by inotify and by the sensor's records of files, which also tell who did it; in the end the
clock tells, should both have missed something. What was seen last is kept in the agent's folder.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.agent.sensors.base import UNKNOWN_PROCESS, Lost
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.waker import Waker
from deodar.agent.threads import WatchedThread
from deodar.agent.watch.accounts import AccountSurvey
from deodar.agent.watch.course import Course
from deodar.agent.watch.doers import Doers
from deodar.agent.watch.files import Files
from deodar.agent.watch.folder_watches import FolderWatches
from deodar.agent.watch.kept import Keeper
from deodar.agent.watch.schedules import ScheduleSurvey
from deodar.agent.watch.services import ServiceSurvey
from deodar.kit.errors import StateError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.settings import AgentSettings
    from deodar.agent.watch import Put
    from deodar.agent.watch.records import StateChange
    from deodar.kit.directory import StateDirectory

EVERY = 300.0
"""Seconds between two looks when there was no sign of a change."""
DOER_WITHIN = 1.0
"""Seconds that a change waits for the sensor's record of who did it."""
JUST_NOW_NS = 500_000_000
"""A record that is at most so much older than the first sign is of this change."""
OF_LATE_NS = 10_000_000_000
"""One that is older may be: a file that stays open is told at its first write only."""
AT_ONCE = 2000
"""Changes that are handed on at once, and pause before the next ones, in seconds."""
PAUSE = 0.1
AFTER_FAILURE = 5.0
BREATHER = 0.05
"""Seconds after a sign before the next one is heard: a flood of changes costs little."""
STOP = 5.0
PATHS = (
    "/etc/", "/var/spool/", "/run/systemd/", "/usr/lib/systemd/", "/usr/local/lib/systemd/",
    "/lib/systemd/", "*/.config/systemd/user/", "*/.local/share/systemd/user/",
)  # fmt: skip
STAGE = "watch"
_log = logger("agent.watch")


@dataclass
class _Pending:
    """A change that waits for its doer."""

    change: StateChange
    since_ns: int
    until: float
    course: Course


class StateWatcher:
    """Watches one root folder in a thread of its own."""

    name = "state"
    covers = "accounts, scheduled tasks, services"

    def __init__(
        self, settings: AgentSettings, directory: StateDirectory, *, root: str | Path = ""
    ) -> None:
        """`directory` is the agent's; `root` another one than that of the settings."""
        self._directory = directory
        self._root = root or settings.watch.root
        self._heard: deque[str] = deque(maxlen=1024)
        self._waker = Waker()
        self._thread: WatchedThread | None = None
        self._doers = Doers(PATHS, self._hear)
        self.gatherer: Gatherer | None = self._doers
        self._courses: dict[str, Course] = {}
        self._pending: deque[_Pending] = deque()
        self._problems: set[str] = set()
        self._closing = threading.Event()

    def open(self, put: Put) -> None:
        """Begin to watch; raises SensorUnavailable when the agent's folder or inotify fails."""
        try:
            self._keeper = Keeper(self._directory)
            self._files = Files(self._root)
            self._watches = FolderWatches(self._files)
        except StateError as error:
            raise SensorUnavailable(str(error)) from error
        except OSError as error:
            raise SensorUnavailable(f"watching folders: {error.strerror}") from error
        self._put = put
        self._closing.clear()
        surveys = (AccountSurvey(self._keeper.digest), ScheduleSurvey(), ServiceSurvey())
        self._courses = {
            one.name: Course(one, self._keeper.load(one.name, one.kinds)) for one in surveys
        }
        self._next_look = time.monotonic()
        self._thread = WatchedThread("watch-state", self._work)
        self._thread.start()

    def close(self) -> None:
        """Stop watching; what was found is handed on, and kept."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing.set()
        self._waker.set()
        thread.join(STOP)
        self._waker.close()
        self._watches.close()
        self._files.close()

    def _work(self) -> None:
        poll = select.poll()
        for source in (self._waker.fileno(), self._watches.fileno()):
            poll.register(source, select.POLLIN)
        self._follow()
        while not self._closing.is_set():
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - the next look may well succeed
                self._tell_problem(f"a look failed: {type(error).__name__}: {error}")
                self._next_look = time.monotonic() + AFTER_FAILURE
            if poll.poll(self._seconds_left() * 1000):
                self._closing.wait(BREATHER)  # one look into the queues for many changes
        self._hand_on(last=True)
        self._save()

    def _turn(self) -> None:
        now = time.monotonic()
        for name in self._signs(now):
            self._courses[name].touch(now)
        due = [course for course in self._courses.values() if course.due <= now]
        for course in due:
            self._look(course, now)
        if due:
            self._follow()
            self._files.forget()
        self._hand_on()
        if not self._pending:
            self._save()

    def _signs(self, now: float) -> set[str]:
        """Return the surveys for which something speaks, or the clock."""
        self._waker.clear()
        names = self._watches.touched()
        while self._heard:
            names |= self._watches.interested(self._heard.popleft())
        if now >= self._next_look:
            self._next_look = now + EVERY
            names |= self._courses.keys()
        return names & self._courses.keys()

    def _look(self, course: Course, now: float) -> None:
        found = course.look(self._files, now)
        for problem in found.problems:
            self._tell_problem(problem)
        wait = DOER_WITHIN if self._doers.is_live else 0.0
        for change in found.changes:
            until = now if change.meanwhile else now + wait
            self._pending.append(_Pending(change, found.since_ns, until, course))

    def _hand_on(self, *, last: bool = False) -> None:
        """Give away the changes whose doer is known, or will not be."""
        now = time.monotonic()
        ready: list[StateChange] = []
        waiting: deque[_Pending] = deque()
        for pending in self._pending:
            is_due = last or now >= pending.until
            has_room = last or len(ready) < AT_ONCE
            if has_room and (self._attribute(pending, JUST_NOW_NS) or is_due):
                if pending.change.key == UNKNOWN_PROCESS:
                    self._attribute(pending, OF_LATE_NS)
                ready.append(pending.change)
            else:
                waiting.append(pending)
        self._pending = waiting
        if ready:
            self._put(ready)

    def _attribute(self, pending: _Pending, within_ns: int) -> bool:
        """Set time and process of a change; returns whether the process is known."""
        change = pending.change
        change.time_ns = pending.since_ns or time.time_ns()
        if change.meanwhile:
            return False
        related = pending.course.survey.related.get(change.file, ())
        for file in (change.file, *related):
            doer = self._doers.of(file, self._files.identity(file), pending.since_ns - within_ns)
            if doer is not None:
                change.key, change.time_ns = doer.key, doer.time_ns
                return True
        return False

    def _save(self) -> None:
        for course in self._courses.values():
            if not course.is_saved and course.items is not None:
                course.is_saved = True
                try:
                    self._keeper.save(course.survey.name, course.items)
                except StateError as error:
                    self._tell_problem(f"what was seen is not kept: {error}")

    def _follow(self) -> None:
        self._watches.follow(self._wanted())
        if self._watches.problem:
            self._tell_problem(self._watches.problem)

    def _wanted(self) -> Iterator[tuple[str, str, frozenset[str] | None]]:
        for name, course in self._courses.items():
            for folder, names in course.survey.folders(self._files):
                yield name, folder, names

    def _tell_problem(self, problem: str) -> None:
        """Tell, once, that something cannot be seen."""
        if problem not in self._problems and len(self._problems) < 256:
            self._problems.add(problem)
            _log.warning("something is not watched", problem=problem)
            self._put([Lost(time.time_ns(), 1, STAGE, problem)])

    def _hear(self, path: str) -> None:
        if self._thread is not None and self._watches.interested(path):
            self._heard.append(path)
            self._waker.set()

    def _seconds_left(self) -> float:
        now = time.monotonic()
        times = [self._next_look, *(course.due for course in self._courses.values())]
        times += [max(pending.until, now + PAUSE) for pending in [*self._pending][:1]]
        return max(0.0, min(times) - now)
