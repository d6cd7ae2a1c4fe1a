"""How much of the events API one external system gets: requests a second, requests at once, reads.

Each system has a bucket of its own, so one that asks without pause gets 429 while the others are
served; several clients with one identity share it. Systems are told apart by id and certificate,
whose key TLS has proved, so nobody can empty the bucket of another one. Only accepted systems have
one: what strangers do takes no memory here. Of the reads that wait for the store, few are of one
system at a time, so with a queue in order of arrival the systems take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deodar.edr.errors import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

Key = tuple[str, str]
"""An external system's id and the SHA-256 of its certificate."""

MOST_SYSTEMS = 4096
READS_AT_ONCE = 2
BURST_SECONDS = 2.0
"""So many seconds' worth of requests may come at once."""


@dataclass
class _Share:
    """What one system has left."""

    tokens: float
    filled: float
    running: int = 0
    reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS_AT_ONCE))


class Admission:
    """The shares of all accepted systems. Used within one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shares: OrderedDict[Key, _Share] = OrderedDict()
        self.refused = 0
        """How many requests were refused since the start."""

    def __len__(self) -> int:
        """Return how many systems are remembered."""
        return len(self._shares)

    def check(self, key: Key, rate: float) -> None:
        """Raise TooManyRequests for a system that is known to have nothing left; takes nothing.

        Meant for before the database is asked who that is.
        """
        share = self._shares.get(key)
        if share is not None and rate:
            self._fill(share, rate)
            self._refuse_empty(share, rate)

    @contextlib.contextmanager
    def admitted(self, key: Key, rate: float, at_once: int) -> Iterator[None]:
        """Take one request of an accepted system's share, and hold one of its places.

        `rate` is in requests a second, 0 for no limit. Raises TooManyRequests.
        """
        share = self._share(key, rate)
        if share.running >= at_once:
            self.refused += 1
            raise TooManyRequests(
                f"Number of requests exceeded: {at_once} of this external system are open already",
                1,
            )
        if rate:
            self._fill(share, rate)
            self._refuse_empty(share, rate)
            share.tokens -= 1
        share.running += 1
        try:
            yield
        finally:
            share.running -= 1

    @contextlib.asynccontextmanager
    async def reading(self, key: Key) -> AsyncIterator[None]:
        """Wait for this system's turn to read the store; for within `admitted`."""
        async with self._shares[key].reads:
            yield

    def _share(self, key: Key, rate: float) -> _Share:
        share = self._shares.get(key)
        if share is None:
            self._make_room()
            share = self._shares[key] = _Share(_most(rate), self._clock())
        self._shares.move_to_end(key)
        return share

    def _make_room(self) -> None:
        """Forget the system that asked least recently; one with open requests stays."""
        while len(self._shares) >= MOST_SYSTEMS:
            idle = next((key for key, one in self._shares.items() if not one.running), None)
            if idle is None:
                return
            del self._shares[idle]

    def _fill(self, share: _Share, rate: float) -> None:
        now = self._clock()
        share.tokens = min(_most(rate), share.tokens + (now - share.filled) * rate)
        share.filled = now

    def _refuse_empty(self, share: _Share, rate: float) -> None:
        if share.tokens < 1:
            self.refused += 1
            raise TooManyRequests(
                f"Number of requests exceeded: at most {rate:g} a second",
                math.ceil((1 - share.tokens) / rate),
            )


def _most(rate: float) -> float:
    return max(1.0, rate * BURST_SECONDS)
