"""Bookkeeping of loss: the kernel's running totals become `Lost` records, each loss told once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.sensors.base import Lost, Record, SensorCounters

if TYPE_CHECKING:
    from collections.abc import Mapping

MALFORMED = "the record could not be decoded"


class Loss(NamedTuple):
    """One way to lose events."""

    event: str
    """Kind of record, such as "exec"; "" when not known."""
    reason: str


class Losses:
    """Totals of one sensor."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._totals: dict[Loss, int] = {}
        self._told: dict[Loss, int] = {}

    def note(self, totals: Mapping[Loss, int]) -> None:
        """Take over totals as they are now; they never go down."""
        for loss, count in totals.items():
            self._totals[loss] = max(count, self._totals.get(loss, 0))

    def add(self, loss: Loss, count: int = 1) -> None:
        """Add to one total."""
        self._totals[loss] = self._totals.get(loss, 0) + count

    def untold(self) -> list[Record]:
        """Return a record for each loss that grew since the last call."""
        now = time.time_ns()
        grown = {
            loss: count - self._told.get(loss, 0)
            for loss, count in self._totals.items()
            if count > self._told.get(loss, 0)
        }
        self._told.update({loss: self._totals[loss] for loss in grown})
        return [
            Lost(now, count, self._stage, loss.reason, loss.event) for loss, count in grown.items()
        ]

    def counters(self, received: int) -> SensorCounters:
        """Return the totals, what could not be decoded apart from the rest."""
        malformed = sum(n for loss, n in self._totals.items() if loss.reason == MALFORMED)
        return SensorCounters(received, sum(self._totals.values()) - malformed, malformed)
