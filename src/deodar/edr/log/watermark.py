"""The last committed sequence number, and the readers that wait for it to rise."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class Watermark:
    """A number that only rises. Used within one event loop."""

    def __init__(self, value: int) -> None:
        self._value = value
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def value(self) -> int:
        """The last sequence number that readers may see."""
        return self._value

    @property
    def waiting(self) -> int:
        """How many readers wait."""
        return sum(not future.done() for _, _, future in self._waiting)

    def advance(self, value: int) -> None:
        """Raise the number and wake those who waited for it."""
        self._value = max(self._value, value)
        while self._waiting and self._waiting[0][0] <= self._value:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    async def reached(self, value: int, seconds: float) -> bool:
        """Wait until the number is at least `value`, at most `seconds`; returns whether it is."""
        if self._value >= value:
            return True
        future = asyncio.get_running_loop().create_future()
        entry = (value, next(self._order), future)
        heapq.heappush(self._waiting, entry)
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await future
        except TimeoutError:
            return self._value >= value
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
        return True
