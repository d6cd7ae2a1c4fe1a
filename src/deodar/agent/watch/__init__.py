"""Watchers: what the kernel does not tell in so many words, such as accounts, services, logons.

They work beside whichever sensor is in use, each in a thread of its own, and are few and slow
compared with it. Their records take the sensor's way through the pipeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.sensors.base import Record

    Put = Callable[[Sequence[Record]], None]


class Watcher(Protocol):
    """Something that watches a part of the host's state."""

    name: str
    """Its name in the registry, such as "accounts"."""
    covers: str
    """What it sees, for people."""
    gatherer: Gatherer | None
    """What it wants to see of the sensor's records, to know who did it."""

    def open(self, put: Put) -> None:
        """Begin to watch and hand records to `put`; raises SensorUnavailable when it cannot."""
        ...

    def close(self) -> None:
        """Stop watching, within some seconds; nothing is left behind."""
        ...
