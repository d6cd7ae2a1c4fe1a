from __future__ import annotations

import asyncio

from deodar.edr.log.watermark import Watermark


async def test_a_waiter_is_woken_when_the_number_is_reached():
    mark = Watermark(10)
    waiting = asyncio.create_task(mark.reached(12, 10))
    await asyncio.sleep(0)
    mark.advance(11)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert mark.waiting == 1
    mark.advance(12)
    assert await waiting is True
    assert mark.waiting == 0


async def test_what_is_reached_already_does_not_wait():
    assert await Watermark(10).reached(10, 0) is True


async def test_the_wait_ends_with_the_time():
    mark = Watermark(1)
    assert await mark.reached(2, 0.01) is False
    assert mark.waiting == 0


async def test_a_cancelled_waiter_leaves_nothing_behind():
    mark = Watermark(1)
    waiting = asyncio.create_task(mark.reached(2, 10))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert mark.waiting == 0
    mark.advance(5)
    assert mark.value == 5


async def test_each_waiter_has_its_own_number():
    mark = Watermark(0)
    waiting = [asyncio.create_task(mark.reached(n, 10)) for n in (3, 1, 2, 9)]
    await asyncio.sleep(0)
    mark.advance(3)
    await asyncio.sleep(0.01)
    assert [task.done() for task in waiting] == [True, True, True, False]
    waiting[-1].cancel()


async def test_the_number_never_falls():
    mark = Watermark(7)
    mark.advance(3)
    assert mark.value == 7
