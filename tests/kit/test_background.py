from __future__ import annotations

import asyncio
import contextlib

import pytest
import structlog.testing

from deodar.kit.background import background, cancelled, interruptible, occurs


async def test_work_goes_on_while_the_block_runs_and_is_cancelled_at_its_end():
    steps: list[str] = []

    async def work():
        try:
            while True:
                steps.append("step")
                await asyncio.sleep(0)
        finally:
            steps.append("end")

    async with background(work(), "steps"):
        await asyncio.sleep(0.01)
        assert steps.count("step") > 1
    assert steps[-1] == "end"


async def test_a_failure_is_logged_at_once_sets_stop_and_is_raised_at_the_end():
    stop = asyncio.Event()

    async def fails():
        raise ValueError("broken")

    async def goes_on():
        async with background(fails(), "fragile", stop):
            assert await occurs(stop, 5)
            assert len(logged) == 1

    with structlog.testing.capture_logs() as logged, pytest.raises(ValueError, match="broken"):
        await goes_on()
    assert (logged[0]["event"], logged[0]["work"]) == ("background_work_failed", "fragile")
    assert "broken" in logged[0]["reason"]


async def test_work_that_comes_to_its_end_sets_stop_too():
    stop = asyncio.Event()
    async with background(asyncio.sleep(0), "short", stop):
        assert await occurs(stop, 5)


async def stubborn(swallowed: list[int]) -> None:
    """Swallow the first cancellation, as `asyncio.wait_for` of Python 3.11 may."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if swallowed:
                raise
            swallowed.append(1)


async def test_tasks_that_swallow_a_cancellation_are_cancelled_again():
    swallowed: list[int] = []
    task = asyncio.create_task(stubborn(swallowed))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await cancelled([task])
    assert (task.cancelled(), swallowed) == (True, [1])


async def test_a_cancellation_comes_through_work_that_swallows_it():
    swallowed: list[int] = []
    task = asyncio.create_task(interruptible(stubborn(swallowed)))
    await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_what_interruptible_work_returns_or_raises_comes_back():
    assert await interruptible(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(ZeroDivisionError):
        await interruptible(_divides())


async def _divides() -> float:
    return 1 / 0


async def test_waiting_for_an_event_ends_with_it_or_with_the_time():
    event = asyncio.Event()
    assert not await occurs(event, 0.01)
    event.set()
    assert await occurs(event, 60)
