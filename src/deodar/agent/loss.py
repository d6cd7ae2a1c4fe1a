"""The book of what was lost in the agent: nothing goes without a count, a place and a reason."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(slots=True)
class Loss:
    """Events lost at one place for one reason, between two times (ns since the epoch)."""

    count: int
    stage: str
    reason: str
    first_ns: int
    last_ns: int


class LossBook:
    """Losses since they were last reported, and totals by stage. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], Loss] = {}
        self._totals: dict[str, int] = {}

    def add(self, count: int, stage: str, reason: str, first_ns: int = 0, last_ns: int = 0) -> None:
        """Count `count` lost events; without times, they were lost now."""
        if count <= 0:
            return
        now = time.time_ns()
        first, last = first_ns or now, last_ns or now
        with self._lock:
            self._totals[stage] = self._totals.get(stage, 0) + count
            loss = self._open.get((stage, reason))
            if loss is None:
                self._open[stage, reason] = Loss(count, stage, reason, first, last)
                return
            loss.count += count
            loss.first_ns = min(loss.first_ns, first)
            loss.last_ns = max(loss.last_ns, last)

    def take(self) -> list[Loss]:
        """Return what was not reported yet; it counts as reported from now on."""
        if not self._open:
            return []
        with self._lock:
            taken, self._open = list(self._open.values()), {}
        return taken

    def totals(self) -> dict[str, int]:
        """Return lost events by stage since the agent started."""
        with self._lock:
            return dict(self._totals)
