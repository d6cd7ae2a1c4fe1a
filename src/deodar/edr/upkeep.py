"""Work that comes round: what has to be done each few seconds, minutes or hours of a server.

A piece of work that fails is told in the log and tried again at its next time; it stops no other.
Several servers on one database may do the same work: each piece is such that this is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.kit.background import background
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

log = logger("edr.upkeep")


@dataclass(frozen=True)
class Chore:
    """One piece of work: it blocks, and is done each `every` seconds, at once first."""

    name: str
    every: float
    work: Callable[[], object]


@contextlib.asynccontextmanager
async def keeping_up(chores: Sequence[Chore]) -> AsyncIterator[None]:
    """Do the chores, each in a thread, while this lasts."""
    async with contextlib.AsyncExitStack() as stack:
        for chore in chores:
            await stack.enter_async_context(background(_repeat(chore), chore.name))
        yield


async def _repeat(chore: Chore) -> None:
    while True:
        try:
            await asyncio.to_thread(chore.work)
        except (DeodarError, OSError) as error:
            log.warning("chore_failed", name=chore.name, reason=str(error))
        await asyncio.sleep(chore.every)
