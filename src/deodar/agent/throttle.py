"""Throttling: events of low importance are held back when there are too many of all.

A bucket holds as many events as one hour may have and fills evenly. Every event takes from it. When
it is empty, types of low importance that make up more than their share of the last hour's events
are held back; all else passes. Held back means dropped and counted, never silently. The rules are
those that the facts about KESL's relatives tell (`UseRequestCountLimits` and its neighbours); the
clock is one that does not step.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.loss import LossBook
    from deodar.events.importance import Importance

    Notify = Callable[[str, dict[str, Any]], None]

STAGE = "throttle"
HOUR = 3600.0
SLOT = 60.0
"""Seconds in one step of the hour that shares are counted over."""
OVER_AFTER = 60.0
"""Seconds without an event held back after which throttling is over."""


@dataclass(frozen=True)
class ThrottleLimits:
    """What may pass."""

    use: bool = False
    per_hour: int = 3000
    percent: float = 15
    """Share of all events that a type of low importance may have when there are too many."""


class Shares:
    """How many events of each type the last hour had, to the minute."""

    def __init__(self) -> None:
        self._slots: deque[tuple[int, dict[str, int]]] = deque()
        self._counts: dict[str, int] = {}
        self._total = 0

    def add(self, event_type: str, now: float) -> None:
        """Count one event."""
        slot = int(now / SLOT)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, {}))
            self._forget(slot - int(HOUR / SLOT))
        counts = self._slots[-1][1]
        counts[event_type] = counts.get(event_type, 0) + 1
        self._counts[event_type] = self._counts.get(event_type, 0) + 1
        self._total += 1

    def percent(self, event_type: str) -> float:
        """Return how much of the hour's events are of that type."""
        return 100 * self._counts.get(event_type, 0) / self._total if self._total else 0.0

    def _forget(self, oldest: int) -> None:
        while self._slots[0][0] <= oldest:
            for event_type, count in self._slots.popleft()[1].items():
                self._counts[event_type] -= count
                self._total -= count


@dataclass
class Held:
    """Events of one type that were held back and are not in the book of losses yet."""

    count: int
    first_ns: int
    last_ns: int


class Throttle:
    """Decides for each event whether it may pass. Used by one thread."""

    def __init__(
        self,
        limits: ThrottleLimits,
        losses: LossBook,
        notify: Notify | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._losses = losses
        self._notify = notify or (lambda _type, _details: None)
        self._clock = clock
        self._tokens = float(limits.per_hour)
        self._filled_at = clock()
        self._shares = Shares()
        self._held: dict[str, Held] = {}
        self._episode = 0
        self._began = self._last_held = 0.0
        self.held_back = 0
        """Events since the start."""
        self.active_since: float | None = None
        """Since when events are held back, in s since the epoch; None when none are."""

    def change(self, limits: ThrottleLimits) -> None:
        """Go on with other limits; the bucket stays as full as it was, in parts of the whole."""
        if limits == self._limits:
            return
        self.settle()
        self._fill(self._clock())
        part = self._tokens / self._limits.per_hour if self._limits.use else 1.0
        self._limits, self._tokens = limits, part * limits.per_hour
        if not limits.use:
            self._end(self._clock())

    def admits(self, event_type: str, importance: Importance, time_ns: int) -> bool:
        """Return whether an event may pass; one that may not is counted. `time_ns` is its time."""
        if not self._limits.use:
            return True
        now = self._clock()
        self._fill(now)
        self._shares.add(event_type, now)
        if self._tokens >= 1:
            self._tokens -= 1
            return True
        if importance != "low" or self._shares.percent(event_type) <= self._limits.percent:
            return True
        self._hold_back(event_type, time_ns, now)
        return False

    def settle(self) -> None:
        """Put what was held back into the book of losses, and see whether throttling is over."""
        for event_type, held in self._held.items():
            reason = (
                f"throttling ({event_type}): more than {self._limits.per_hour} events an hour, "
                f"and more than {self._limits.percent:g} % of them of this type"
            )
            self._losses.add(held.count, STAGE, reason, held.first_ns, held.last_ns)
        self._held = {}
        now = self._clock()
        if now - self._last_held >= OVER_AFTER:
            self._end(now)

    def _fill(self, now: float) -> None:
        limit = self._limits.per_hour
        self._tokens = min(limit, self._tokens + (now - self._filled_at) * limit / HOUR)
        self._filled_at = now

    def _hold_back(self, event_type: str, time_ns: int, now: float) -> None:
        held = self._held.setdefault(event_type, Held(0, time_ns, time_ns))
        held.count += 1
        held.first_ns, held.last_ns = min(held.first_ns, time_ns), max(held.last_ns, time_ns)
        self.held_back += 1
        self._last_held = now
        self._episode += 1
        if self._episode == 1:
            self._began = now
            self.active_since = time.time()
            details = {
                "MaximumNumberOfEventsInHour": str(self._limits.per_hour),
                "EventLimitExceededPercentage": f"{self._limits.percent:g}",
                "EventType": event_type,
            }
            self._notify("ThrottlingStarted", details)

    def _end(self, now: float) -> None:
        if self._episode:
            held, self._episode = self._episode, 0
            self.active_since = None
            seconds = str(round(now - self._began))
            self._notify("ThrottlingEnded", {"EventsHeldBack": str(held), "Seconds": seconds})
