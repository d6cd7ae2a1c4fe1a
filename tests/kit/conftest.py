"""Servers on real sockets for the tests of serving."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from deodar.kit.serve import serve


@pytest.fixture
async def start():
    """Start servers: `await start([endpoints], grace=…)` returns (bound, stop event, task).

    They are stopped at the end of the test.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def begin(endpoints, **options):
            stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
            options.setdefault("grace", 1.0)
            running = asyncio.create_task(
                serve(endpoints, stop=stop, on_ready=ready.set_result, **options)
            )

            async def end():
                stop.set()
                await asyncio.wait_for(running, 10)

            await asyncio.wait({ready, running}, timeout=10, return_when="FIRST_COMPLETED")
            if running.done():
                await running
            stack.push_async_callback(end)
            return ready.result(), stop, running

        yield begin
