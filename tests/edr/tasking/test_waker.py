from __future__ import annotations

import asyncio
import threading

from deodar.edr.errors import ControlDataError
from deodar.edr.tasking import waker as module
from deodar.edr.tasking.delivery import Changes
from deodar.edr.tasking.waker import Waker


class Source:
    """What would be in the database."""

    def __init__(self) -> None:
        self.now = Changes(0, frozenset(), everybody=False)
        self.asked = 0
        self.fails = False
        self.failed = threading.Event()

    def changes(self, since: int) -> Changes:
        self.asked += 1
        if self.fails:
            self.failed.set()
            raise ControlDataError("away")
        return self.now if since < self.now.number else self.now._replace(agents=frozenset())

    def tell(self, *agents: str, everybody: bool = False) -> None:
        self.now = Changes(self.now.number + 1, frozenset(agents), everybody)


async def test_only_who_is_concerned_wakes():
    source, stop = Source(), asyncio.Event()
    waker = Waker(source.changes)
    async with waker.running(stop):
        with waker.turn("a") as mine, waker.turn("b") as others:
            assert waker.waiting == 2
            source.tell("a")
            await asyncio.wait_for(mine.wait(), 2)
            assert not others.is_set()
            source.tell(everybody=True)
            await asyncio.wait_for(others.wait(), 2)
        assert waker.waiting == 0


async def test_nobody_asks_while_nobody_waits(monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    source = Source()
    async with Waker(source.changes).running(asyncio.Event()):
        before = source.asked
        await asyncio.sleep(0.2)
        assert source.asked == before


async def test_a_stop_wakes_everybody_also_who_comes_later():
    source, stop = Source(), asyncio.Event()
    waker = Waker(source.changes)
    async with waker.running(stop):
        with waker.turn("a") as turn:
            stop.set()
            await asyncio.wait_for(turn.wait(), 2)
        with waker.turn("a") as later:
            assert later.is_set()


async def test_a_database_that_is_away_is_asked_again(monkeypatch):
    monkeypatch.setattr(module, "AFTER_FAILURE", 0.05)
    source = Source()
    waker = Waker(source.changes)
    async with waker.running(asyncio.Event()):
        with waker.turn("a") as turn:
            source.fails = True
            assert await asyncio.to_thread(source.failed.wait, 5)
            source.fails = False
            source.tell("a")
            await asyncio.wait_for(turn.wait(), 5)
