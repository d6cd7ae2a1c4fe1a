"""What the agent notes of itself by looking: sensors that do not work, losses, a damaged spool.

The telemetry tells the server of losses. An administrator on the host finds them among the agent's
own events, without a server and while the loss goes on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deodar.agent.journal.record import EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.loss import LossBook
    from deodar.agent.status import RefusedSensor
    from deodar.kit.journal import Damage

    Note = Callable[..., object]
    """Takes the type of one of the agent's own events, and its details by name."""

LOSS_EVERY = 300.0
"""Seconds between two events about losses of the same place and reason; the first comes at once."""


class SelfReport:
    """Remembers what it has told. For one thread."""

    def __init__(
        self, losses: LossBook, note: Note, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._losses = losses
        self._note = note
        self._clock = clock
        self._told: dict[tuple[str, str], int] = {}
        self._next: dict[tuple[str, str], float] = {}
        self._refused: list[RefusedSensor] = []
        self._damage = 0

    def sensors(self, refused: Sequence[RefusedSensor]) -> None:
        """Tell of sensors that were tried and do not work, once as long as they stay the same."""
        for one in refused:
            if one not in self._refused:
                self._note(EventType.SENSOR_UNAVAILABLE, Sensor=one.name, Reason=one.reason)
        self._refused = list(refused)

    def losses(self, *, all_now: bool = False) -> None:
        """Tell how many events were lost since the last event of that place and reason."""
        now = self._clock()
        for place, total in self._losses.by_reason().items():
            grown = total - self._told.get(place, 0)
            if grown <= 0 or (now < self._next.get(place, now) and not all_now):
                continue
            self._told[place], self._next[place] = total, now + LOSS_EVERY
            stage, reason = place
            self._note(EventType.TELEMETRY_LOSS, Stage=stage, Reason=reason, Count=grown)

    def damage(self, found: Sequence[Damage]) -> None:
        """Tell of each part of the spool that cannot be read."""
        for one in found[self._damage :]:
            kept = f"set aside as {one.kept}" if one.kept else "they could not be set aside"
            problem = f"bytes {one.start} to {one.end} cannot be read; {kept}"
            self._note(EventType.SPOOL_DAMAGED, File=one.segment, Problem=problem)
        self._damage = len(found)
