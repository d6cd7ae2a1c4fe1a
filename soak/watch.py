"""What the agent's process takes while it runs: memory, file descriptors, threads, processor."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 1.0
TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """One look at the process."""

    time: float
    """Seconds since the watch began."""
    pid: int
    rss: int
    """Resident bytes, all its processes together."""
    descriptors: int
    threads: int
    cpu: float
    """Processor seconds since the process began, those of ended children included."""


class Watch:
    """Looks at the agent once a second until it is stopped."""

    def __init__(self, pid: Callable[[], int | None]) -> None:
        self.samples: list[Sample] = []
        self.began = time.monotonic()
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            pid = self._pid()
            try:
                if pid is not None:
                    self.samples.append(look(pid, time.monotonic() - self.began))
            except OSError:  # it has just ended
                continue


def look(pid: int, at: float) -> Sample:
    """Return what a process and its children take now; raises OSError when it is gone."""
    family = [pid, *_children(pid)]
    rss = sum(_resident(member) for member in family)
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
    cpu = sum(map(int, fields[11:15])) / TICKS
    return Sample(at, pid, rss, descriptors, int(fields[17]), cpu)


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # each thread has children of its own
    return [int(child) for each in lists for child in each.read_text("ascii").split()]


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
