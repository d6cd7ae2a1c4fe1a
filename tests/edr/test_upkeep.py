from __future__ import annotations

import asyncio
import threading

from deodar.edr.errors import EdrError
from deodar.edr.upkeep import Chore, keeping_up


async def test_chores_come_round_and_a_failing_one_stops_no_other():
    done, failed = threading.Semaphore(0), threading.Semaphore(0)

    def fail() -> None:
        failed.release()
        raise EdrError("no")

    chores = [Chore("good", 0.01, done.release), Chore("bad", 0.01, fail)]
    async with keeping_up(chores):
        for _ in range(3):
            assert await asyncio.to_thread(done.acquire, timeout=5)
            assert await asyncio.to_thread(failed.acquire, timeout=5)
