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
from typing import TYPE_CHECKING

from deodar.agent.sensors.base import Lost
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.sensors.waker import Waker
from deodar.agent.threads import WatchedThread
from deodar.agent.watch.accounts import AccountSurvey
from deodar.agent.watch.attribution import Attribution
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
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.settings import AgentSettings
    from deodar.agent.watch import Put
    from deodar.kit.directory import StateDirectory

EVERY = 300.0
"""Seconds between two looks when there was no sign of a change."""
AFTER_FAILURE = 5.0
FIRST_LOOK = 5.0
"""Seconds that opening waits for the first look, which mostly takes a fraction of one."""
BREATHER = 0.05
"""Seconds after a sign before the next one is heard: a flood of changes costs little."""
STOP = 5.0
PATHS = (
    "/etc/", "/var/spool/", "/run/systemd/", "/usr/lib/systemd/", "/usr/local/lib/systemd/",
    "/lib/systemd/", "*/.config/systemd/user/", "*/.local/share/systemd/user/",
)  # fmt: skip
STAGE = "watch"
MOST_PROBLEMS = 64
"""Problems of one look that are told."""
_log = logger("agent.watch")


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
        self._thread: WatchedThread | None = None
        self._doers = Doers(PATHS, self._hear)
        self.gatherer: Gatherer | None = self._doers
        self._courses: dict[str, Course] = {}
        self._problems: dict[str, set[str]] = {}
        self._closing = threading.Event()

    def open(self, put: Put) -> None:
        """Begin to watch; raises SensorUnavailable when the agent's folder or inotify fails."""
        try:
            self._keeper = Keeper(self._directory)
            self._files = Files(self._root)
        except StateError as error:
            raise SensorUnavailable(str(error)) from error
        except OSError as error:
            raise SensorUnavailable(f"{self._root}: {error.strerror}") from error
        try:
            self._watches = FolderWatches(self._files)
        except OSError as error:
            self._files.close()
            raise SensorUnavailable(f"watching folders: {error.strerror}") from error
        self._waker = Waker()
        self._put = put
        self._attribution = Attribution(self._doers, self._files)
        self._closing.clear()
        surveys = (AccountSurvey(self._keeper.digest), ScheduleSurvey(), ServiceSurvey())
        self._courses = {
            one.name: Course(one, self._keeper.load(one.name, one.kinds)) for one in surveys
        }
        self._next_look = time.monotonic() + EVERY
        self._has_looked = threading.Event()
        self._thread = WatchedThread("watch-state", self._work)
        self._thread.start()
        self._has_looked.wait(FIRST_LOOK)  # what changes from now on is told

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
        self._tell_problems("kept", self._keeper.problems)
        self._follow()
        for course in self._courses.values():
            course.touch(time.monotonic(), quiet=0.0)
        while not self._closing.is_set():
            try:
                self._turn()
                self._tell_problems("turn", [])
                self._has_looked.set()
            except Exception as error:  # noqa: BLE001 - the next look may well succeed
                self._tell_problems("turn", [f"a look failed: {type(error).__name__}: {error}"])
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
        if not self._attribution:
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
        self._tell_problems(course.survey.name, found.problems)
        self._attribution.add(found, course.survey.related, now)

    def _hand_on(self, *, last: bool = False) -> None:
        if ready := self._attribution.take(time.monotonic(), last=last):
            self._put(ready)

    def _save(self) -> None:
        for course in self._courses.values():
            if course.is_saved or course.items is None:
                continue
            course.is_saved = True
            problems = []
            try:
                self._keeper.save(course.survey.name, course.items)
            except StateError as error:
                problems.append(f"what was seen is not kept: {error}")
            self._tell_problems("kept", problems)

    def _follow(self) -> None:
        self._watches.follow(self._wanted())
        self._tell_problems("folders", [p for p in [self._watches.problem] if p])

    def _wanted(self) -> Iterator[tuple[str, str, frozenset[str] | None]]:
        for name, course in self._courses.items():
            for folder, names in course.survey.folders(self._files):
                yield name, folder, names

    def _tell_problems(self, source: str, problems: Sequence[str]) -> None:
        """Tell what cannot be seen now and could be before."""
        now = set(problems[:MOST_PROBLEMS])
        for problem in now - self._problems.get(source, set()):
            _log.warning("something is not watched", problem=problem)
            self._put([Lost(time.time_ns(), 1, STAGE, problem)])
        self._problems[source] = now

    def _hear(self, path: str) -> None:
        if self._thread is not None and self._watches.interested(path):
            self._heard.append(path)
            self._waker.set()

    def _seconds_left(self) -> float:
        now = time.monotonic()
        times = [self._next_look, *(course.due for course in self._courses.values())]
        times.append(self._attribution.due(now))
        return max(0.0, min(times) - now)
