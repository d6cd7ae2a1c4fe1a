"""Waits for the port of a listener that let the kernel choose one.

At the moment when a socket begins to listen it has no port yet; the call that returns has it. Both
are told by different parts of the sensor, so the first waits for the second, which may be missing.
For the same reason the first part does not know whose the connections to that port are: here that
is put right.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from deodar.agent.sensors.base import Connection, Listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.base import ProcessKey, Record

PATIENCE = 1.0
"""Seconds that a listener waits for its port."""
MOST_WAITING = 256
MOST_PORTS = 1024
"""Ports that are remembered with their process."""


class Listens:
    """Makes one of the two records of a listener without a port of its own choice."""

    takes: tuple[type[Any], ...] = (Listen, Connection)
    sees: tuple[type[Any], ...] = ()

    def __init__(self) -> None:
        self._held: deque[tuple[float, Listen]] = deque()
        self._owners: OrderedDict[tuple[int, int], ProcessKey] = OrderedDict()
        """By protocol and port."""

    @property
    def waiting(self) -> int:
        """How many listeners wait."""
        return len(self._held)

    def take(self, record: Listen | Connection) -> Sequence[Record]:
        """Return a listener with its port, one without waits; and a connection with its owner."""
        if isinstance(record, Connection):
            if record.key.pid == 0 and record.direction == "inbound":
                port = (record.protocol, record.local_port)
                record.key = self._owners.get(port, record.key)
            return (record,)
        if record.local_port == 0:
            self._held.append((time.monotonic(), record))
            return [self._held.popleft()[1]] if len(self._held) > MOST_WAITING else ()
        self._forget(record)
        return (record,)

    def _forget(self, record: Listen) -> None:
        """Forget a listener without a port when this one is the same."""
        for place, (_, held) in enumerate(self._held):
            if (held.key, held.local_ip) == (record.key, record.local_ip):
                del self._held[place]
                self._owners[record.protocol, record.local_port] = record.key
                if len(self._owners) > MOST_PORTS:
                    self._owners.popitem(last=False)
                break

    def see(self, record: Any) -> Sequence[Record]:
        """Nothing else is of interest."""
        return ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return the listeners whose port did not come."""
        found = []
        while self._held and (last or self._held[0][0] + PATIENCE <= now):
            found.append(self._held.popleft()[1])
        return found
