from __future__ import annotations

import asyncio

import pytest
from tests.siem.connectors.kept import running, until

from deodar.siem.connectors.restarting import RestartingConnector, whole


class Noting(RestartingConnector):
    def __init__(self) -> None:
        super().__init__()
        self.states: list[str | None] = []
        self.error: Exception | None = None

    async def take(self, state: str | None) -> None:
        self.states.append(state)
        if self.error:
            raise self.error
        await asyncio.Event().wait()

    async def check(self) -> str:
        return "good"


async def test_begun_anew_it_goes_on_without_a_state():
    connector = Noting()
    async with running(connector, "s1"):
        await until(lambda: connector.states == ["s1"])
        connector.begin_anew()
        await until(lambda: connector.states == ["s1", None])


async def test_an_error_comes_out():
    connector = Noting()
    connector.error = ValueError("boom")
    with pytest.raises(ValueError, match="boom"):
        await connector.run(None)


async def test_work_in_a_thread_is_waited_for_when_it_is_cancelled():
    done = asyncio.Event()

    async def work():
        await asyncio.sleep(0.1)
        done.set()
        return 5

    task = asyncio.create_task(whole(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
    assert await whole(work()) == 5
