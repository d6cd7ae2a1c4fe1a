"""Waits for the port of a listener that let the kernel choose one.

At the moment when a socket begins to listen it has no port yet; the call that returns has it. Both
are told by different parts of the sensor, so the first waits for the second, which may be missing.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from deodar.agent.sensors.base import Listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.base import Record

PATIENCE = 1.0
"""Seconds that a listener waits for its port."""
MOST_WAITING = 256


class Listens:
    """Makes one of the two records of a listener without a port of its own choice."""

    takes: tuple[type[Any], ...] = (Listen,)
    sees: tuple[type[Any], ...] = ()

    def __init__(self) -> None:
        self._held: deque[tuple[float, Listen]] = deque()

    @property
    def waiting(self) -> int:
        """How many listeners wait."""
        return len(self._held)

    def take(self, record: Listen) -> Sequence[Record]:
        """Return a listener with its port; one without waits."""
        if record.local_port == 0:
            self._held.append((time.monotonic(), record))
            return [self._held.popleft()[1]] if len(self._held) > MOST_WAITING else ()
        for place, (_, held) in enumerate(self._held):
            if (held.key, held.local_ip) == (record.key, record.local_ip):
                del self._held[place]
                break
        return (record,)

    def see(self, record: Any) -> Sequence[Record]:
        """Nothing else is of interest."""
        return ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return the listeners whose port did not come."""
        found = []
        while self._held and (last or self._held[0][0] + PATIENCE <= now):
            found.append(self._held.popleft()[1])
        return found
