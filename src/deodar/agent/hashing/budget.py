"""The ceiling on what hashing costs: processor time that comes in evenly and may be saved up.

A host that runs few new programs has all facts of all files; one that builds software all day pays
no more than its share for it. The fuzzy hash, a hundred times as dear as the others, goes first.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BURST = 10.0
"""Seconds of processor time that can be saved up."""
FUZZY_SHARE = 0.5
"""The part of it that is kept for the other hashes."""
PROGRAMS_SHARE = 0.75
"""The part of it that is kept for programs; the rest is for libraries and data."""


class Budget:
    """Seconds of processor time, for any thread. Debts are possible: costs are known afterwards."""

    def __init__(self, percent: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`percent` of one core come in."""
        self._rate = percent / 100
        self._clock = clock
        self._level = BURST
        self.spent = 0.0
        """Seconds since the start."""
        self._then = clock()
        self._lock = threading.Lock()

    def allows(self, *, fuzzy: bool = False, program: bool = True) -> bool:
        """Return whether another file may be read, be it for its fuzzy hash."""
        kept = max(FUZZY_SHARE if fuzzy else 0.0, 0.0 if program else PROGRAMS_SHARE)
        return self.level() > BURST * kept

    def spend(self, seconds: float) -> None:
        """Note what was used."""
        with self._lock:
            self._refill()
            self._level -= seconds
            self.spent += seconds

    def level(self) -> float:
        """Return the seconds that are left, below 0 for a debt."""
        with self._lock:
            self._refill()
            return self._level

    def _refill(self) -> None:
        now = self._clock()
        self._level = min(BURST, self._level + (now - self._then) * self._rate)
        self._then = now
