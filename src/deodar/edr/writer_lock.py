"""One server writes an event log at a time, also when several share a store over the network.

The writer gives the sequence numbers, so two of them would give the same ones. An embedded store
belongs to one process anyway. For a store elsewhere the right to write is a lock of the session in
PostgreSQL, where servers that share a store have their control data; it is free when the server
ends, however that comes about. A server that loses it to another one stops.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from deodar.edr.errors import ControlDataError, LogInUse
from deodar.kit.background import background
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deodar.edr.database import SessionLock
    from deodar.edr.installation import Installation

KEY = 0x6C6F67
"""The lock's number; "log" in ASCII."""
LOOK_EVERY = 1.0

log = logger("edr.writer_lock")


@contextlib.asynccontextmanager
async def held(installation: Installation, stop: asyncio.Event | None) -> AsyncIterator[None]:
    """Hold the right to write the log; `stop` is set should another server take it.

    Raises LogInUse when another server has it, ControlDataError.
    """
    if not installation.settings.store:
        yield
        return
    database = await asyncio.to_thread(installation.database)
    lock = database.session_lock(KEY)
    try:
        if not await asyncio.to_thread(lock.take):
            raise LogInUse(
                "another EDR server writes the event log of this store; stop it first, or give "
                "this server a store of its own (distributed mode)"
            )
        async with background(_watch(lock), "right to write the log", stop):
            yield
    finally:
        await asyncio.to_thread(lock.release)
        database.close()


async def _watch(lock: SessionLock) -> None:
    """Take the lock again after the database was away; end when another server was faster.

    While the database is away no agent is let in, so nothing new is written.
    """
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            mine = await asyncio.to_thread(lock.take)
        except ControlDataError as error:
            log.warning("right_to_write_unknown", reason=str(error))
            continue
        if not mine:
            log.error("another_server_writes_the_log")
            return
