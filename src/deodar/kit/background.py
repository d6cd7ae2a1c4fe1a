"""Work that goes on beside other work, and never ends unnoticed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeVar

from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Coroutine

_AGAIN: Final = 1.0

T = TypeVar("T")

log = logger("background")


@contextlib.asynccontextmanager
async def background(
    work: Coroutine[Any, Any, Any], name: str, stop: asyncio.Event | None = None
) -> AsyncIterator[None]:
    """Do `work` while the block runs, and cancel it at the block's end.

    Should it end by itself, `stop` is set. What it failed with is logged at once and raised at the
    block's end.
    """
    task = asyncio.create_task(work, name=name)

    def ended(_: asyncio.Task[Any]) -> None:
        if task.cancelled():
            return
        if error := task.exception():
            log.error("background_work_failed", work=name, reason=repr(error), exc_info=error)
        if stop is not None:
            stop.set()

    task.add_done_callback(ended)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks, which have nothing to wait for at their end, until they are over.

    Once is not enough for those that call a library: `asyncio.wait_for` of Python 3.11 swallows a
    cancellation that comes together with what it waits for.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)


async def interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; a cancellation comes through, whatever `work` does with it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,))
    finally:
        task.cancel()
    return task.result()


async def occurs(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, so long at most; returns whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
