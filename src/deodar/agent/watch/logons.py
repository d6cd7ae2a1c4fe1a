"""The watcher of logons in the system's log: what libpam does not tell, or cannot.

Keys of sshd that do not fit, users that sudo's rules refuse, programs without libpam; and all
logons, where no programs can be put on libpam. One source is read, the best that there is: the
journal, else the text log, else wtmp and btmp. What several tell is made one by the gatherer.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.threads import WatchedThread, until_look
from deodar.agent.watch.journal import Journal
from deodar.agent.watch.log_lines import sign_of
from deodar.agent.watch.text_log import TextLog
from deodar.agent.watch.utmp_files import UtmpFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.sensors.logon_acts import LogonSign
    from deodar.agent.settings import AgentSettings
    from deodar.agent.watch import Put
    from deodar.kit.directory import StateDirectory

LOOK_EVERY = 2.0
CHOOSE_EVERY = 30
"""Looks after which a better source may have come up."""
STOP_SECONDS = 5.0
HOST = Path("/")
NOTHING = (
    "there is neither a journal nor a log of authentications, nor wtmp; logons that libpam does "
    "not see are not told"
)


class RootLog:
    """The best source below one root folder. Used by one thread at a time."""

    def __init__(self, root: Path) -> None:
        own = root == HOST
        self._logs = (Journal(root, knows_pids=own), TextLog(root, knows_pids=own))
        self._files = UtmpFiles(root)
        self._source: Journal | TextLog | UtmpFiles | None = None

    @property
    def name(self) -> str:
        """What is read; "" for nothing."""
        return self._source.name if self._source is not None else ""

    def choose(self) -> None:
        """Take the best source that there is now; a new one begins at its end."""
        best = next((one for one in (*self._logs, self._files) if one.exists()), None)
        if best is not None and best is not self._source:
            self._source = best
            self.signs()

    def signs(self) -> list[LogonSign]:
        """Return what is new."""
        if self._source is None:
            return []
        if isinstance(self._source, UtmpFiles):
            return list(self._source.signs())
        signs = (sign_of(line) for line in self._source.read())
        return [sign for sign in signs if sign is not None]

    def close(self) -> None:
        """Close what is open."""
        for log in self._logs:
            log.close()


class LogonWatcher:
    """Reads the log of a host, and of machines below other root folders."""

    name = "logons"
    covers = "logons"
    gatherer: Gatherer | None = None

    def __init__(self, roots: Sequence[Path] = (HOST,), every: float = LOOK_EVERY) -> None:
        self._every = every
        self._logs = [RootLog(root) for root in roots]
        self._stop = threading.Event()
        self._thread = WatchedThread("logons", self._watch)

    def open(self, put: Put) -> None:
        """Begin at the end of what there is; raises SensorUnavailable when there is nothing."""
        self._put = put
        for log in self._logs:
            log.choose()
        if not any(log.name for log in self._logs):
            raise SensorUnavailable(NOTHING)
        names = dict.fromkeys(log.name for log in self._logs if log.name)
        self.covers = f"logons ({', '.join(names)})"
        self._thread.start()

    def close(self) -> None:
        """Stop; what was written until now is still read."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)
        for log in self._logs:
            log.close()

    def _watch(self) -> None:
        looks = 0
        while not self._stop.wait(until_look(self._every)):
            looks += 1
            self._look(choose=looks % CHOOSE_EVERY == 0)
        self._look(choose=False)

    def _look(self, *, choose: bool) -> None:
        for log in self._logs:
            if choose:
                log.choose()
            if signs := log.signs():
                self._put(signs)


def logon_watcher(settings: AgentSettings, _directory: StateDirectory) -> LogonWatcher:
    """Return the one that the settings want, for the registry."""
    return LogonWatcher([Path(settings.watch.root)])
