"""The agent's threads: one that fails says so, so that the agent can end and be started again.

An agent that runs on with a dead thread would look well and see nothing.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logger("agent.threads")


def until_look(every: float) -> float:
    """Return the seconds until the next look of a thread that looks each `every` seconds.

    All such threads look at the same moments: a host that sleeps is woken once for all of them.
    """
    return every - time.monotonic() % every


class WatchedThread(threading.Thread):
    """A thread that does not hold up the end of the process and keeps the error it died of."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self.failure = ""
        """What ended the thread, for people; "" while it runs and when it ended as it should."""

    def run(self) -> None:
        """Do the work; any error is logged and kept."""
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - whatever it was, the agent has to know
            self.failure = f"{self.name}: {type(error).__name__}: {error}"
            _log.exception("a thread failed", thread=self.name)
