"""Lets agents wait for orders: they sleep on a condition, and only one look a moment is taken.

However many agents wait, the database is asked once each `LOOK_EVERY` seconds what has changed,
and only when somebody waits; those concerned wake up. So a change that a command or another server
on the same database makes is seen as soon as one of this server.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from deodar.edr.errors import ControlDataError
from deodar.kit.background import background, occurs
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from deodar.edr.tasking.delivery import Changes

LOOK_EVERY = 0.2
AFTER_FAILURE = 5.0

log = logger("edr.tasking")


class Waker:
    """Who waits, by agent. Used within one event loop."""

    def __init__(self, changes: Callable[[int], Changes]) -> None:
        """`changes` returns who is concerned by what came after a number; it may block."""
        self._changes = changes
        self._turns: dict[str, set[asyncio.Event]] = {}
        self._number = 0
        self._stopping = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._turns.values()))

    @contextlib.contextmanager
    def turn(self, agent_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set when the agent is concerned, or the server stops.

        It has to be taken before the orders are looked up, so that none is missed in between.
        """
        event = asyncio.Event()
        if self._stopping:
            event.set()
        self._turns.setdefault(agent_id, set()).add(event)
        try:
            yield event
        finally:
            turns = self._turns[agent_id]
            turns.discard(event)
            if not turns:
                del self._turns[agent_id]

    @contextlib.asynccontextmanager
    async def running(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """Look for changes while this lasts; `stop` wakes everybody."""
        self._number = (await asyncio.to_thread(self._changes, 0)).number
        async with background(self._watch(stop), "watch for orders"):
            yield

    async def _watch(self, stop: asyncio.Event) -> None:
        pause = LOOK_EVERY
        while not await occurs(stop, pause):
            pause = LOOK_EVERY
            if not self._turns:
                continue
            try:
                changes = await asyncio.to_thread(self._changes, self._number)
            except ControlDataError as error:
                log.warning("tasking_cannot_look", reason=str(error))
                pause = AFTER_FAILURE
                continue
            self._number = changes.number
            self._wake(None if changes.everybody else changes.agents)
        self._stopping = True
        self._wake(None)

    def _wake(self, agents: frozenset[str] | None) -> None:
        for agent in list(self._turns) if agents is None else agents:
            for event in self._turns.get(agent, ()):
                event.set()
