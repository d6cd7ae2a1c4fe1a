"""Names that are unique: of a process over the life of the host, and of an event in the world."""

from __future__ import annotations

import itertools
import uuid
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from deodar.agent.sensors.base import ProcessKey

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOCK_TICK_NS = 10_000_000
"""Unit of process start times in /proc (USER_HZ is 100 on every Linux)."""

PID_BITS = 22
"""No kernel gives higher pids (PID_MAX_LIMIT)."""

CACHED = 1024
"""Ids that are kept: each event names a process and its parent, most of them more than once."""


def to_tick(key: ProcessKey) -> ProcessKey:
    """Return the key with its start rounded down to the clock tick.

    /proc knows no better, and one process must have one key whoever saw it. A pid is not used
    twice within 10 ms: all other pids come first.
    """
    return ProcessKey(key.pid, key.start - key.start % CLOCK_TICK_NS)


def place(key: ProcessKey) -> int:
    """Return a number that is the same for keys which `to_tick` makes equal."""
    return key.start // CLOCK_TICK_NS << PID_BITS | key.pid


class UniquePids:
    """Makes UniquePid values: the same for the same process of the same boot, whoever asks."""

    def __init__(self, boot_id: str) -> None:
        self._seed = blake2b(boot_id.encode(), digest_size=16)
        self._cached = lru_cache(CACHED)(self._make)

    def of(self, key: ProcessKey) -> str:
        """Return the process's unique id as UUID text; "" for a process that is not known."""
        return self._cached(key)

    def _make(self, key: ProcessKey) -> str:
        if key.pid == 0 or key.start == 0:
            return ""
        digest = self._seed.copy()
        digest.update(b"%d %d" % to_tick(key))
        text = digest.hexdigest()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def event_ids() -> Iterator[str]:
    """Yield ids of events without end: UUID text, a random part and a counter of 48 bits."""
    prefix = str(uuid.uuid4())[:24]
    return (f"{prefix}{number:012x}" for number in itertools.count(1))
