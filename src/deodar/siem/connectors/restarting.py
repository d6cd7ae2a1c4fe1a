"""Connectors that can be begun anew while they run: what runs is given up, and taken up again."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, TypeVar

from deodar.siem.connectors.base import Connector

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


class RestartingConnector(Connector):
    """Runs `take` until cancelled, again without a state after `begin_anew`."""

    def __init__(self) -> None:
        self._anew = asyncio.Event()

    def begin_anew(self) -> None:
        """Give up what runs, and go on without a state."""
        self._anew.set()

    @abstractmethod
    async def take(self, state: str | None) -> None:
        """Take events from `state` on until cancelled."""

    async def run(self, state: str | None) -> None:
        """Take events from `state` on (None: from the beginning) until cancelled."""
        while True:
            self._anew.clear()
            await self._until_anew(state)
            state = None

    async def _until_anew(self, state: str | None) -> None:
        taking = asyncio.create_task(self.take(state))
        anew = asyncio.create_task(self._anew.wait())
        try:
            await asyncio.wait({taking, anew}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (taking, anew):
                task.cancel()
            await asyncio.wait({taking, anew})
        if not taking.cancelled():
            taking.result()


async def whole(work: Awaitable[T]) -> T:
    """Return what work in a thread gives; cancelled, wait for its end first.

    What it works on must not be closed under it.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
