"""From the kernel's boot time clock to wall clock time.

Records carry CLOCK_BOOTTIME, which never steps; people want dates. The difference of the two
clocks is measured again for each batch, so that a step of the wall clock shows in the next one.
"""

from __future__ import annotations

import time

CLOSE_ENOUGH_NS = 20_000
ATTEMPTS = 4


class WallClock:
    """The difference between wall clock and a clock of the kernel, the boot time clock usually."""

    def __init__(self, clock: int = time.CLOCK_BOOTTIME) -> None:
        self._clock = clock
        self._offset, _ = _measure(clock)

    def offset(self) -> int:
        """Return the ns to add to the kernel's time to get ns since the epoch, as of now.

        A reading that was interrupted half way is taken again; the old difference stays when the
        new one is within the reading's own uncertainty, so that times do not jitter.
        """
        offset, doubt = _measure(self._clock)
        if abs(offset - self._offset) > doubt:
            self._offset = offset
        return self._offset


def _measure(clock: int) -> tuple[int, int]:
    """Return the best of some readings of the difference, and its uncertainty, in ns."""
    best = _reading(clock)
    for _ in range(ATTEMPTS - 1):
        if best[1] <= CLOSE_ENOUGH_NS:
            break
        best = min(best, _reading(clock), key=lambda reading: reading[1])
    return best


def _reading(clock: int) -> tuple[int, int]:
    before = time.clock_gettime_ns(clock)
    wall = time.clock_gettime_ns(time.CLOCK_REALTIME)
    after = time.clock_gettime_ns(clock)
    return wall - (before + after) // 2, max(after - before, 1_000)
