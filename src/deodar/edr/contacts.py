"""When endpoints were last heard, gathered and written for all of them once in a while.

A fleet of thousands makes a contact every few milliseconds; a transaction for each, synced to the
disk, would cost more than all else that is done for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, update

from deodar.edr.errors import ControlDataError
from deodar.edr.tables import endpoints
from deodar.kit.background import background
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deodar.edr.database import Database

EVERY = 1.0
_ROW = (
    update(endpoints)
    .where(endpoints.c.agent_id == bindparam("agent"))
    .values(
        last_contact_us=bindparam("at"),
        address=bindparam("from"),
        agent_version=bindparam("version"),
    )
)

log = logger("edr.contacts")


class Contacts:
    """The newest contact of each endpoint that is not written yet; one entry an endpoint."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[str, Any]] = {}

    def add(self, agent_id: str, at_us: int, address: str, version: str) -> None:
        """Note a contact; costs next to nothing and may be called in any thread."""
        row = {"agent": agent_id, "at": at_us, "from": address, "version": version}
        with self._lock:
            self._waiting[agent_id] = row

    def write(self) -> int:
        """Write what was noted, in one transaction; returns for how many endpoints."""
        with self._lock:
            rows, self._waiting = self._waiting, {}
        if not rows:
            return 0
        try:
            with self._database.write() as connection:
                connection.execute(_ROW, list(rows.values()))
        except ControlDataError as error:
            log.warning("contacts_not_written", endpoints=len(rows), reason=str(error))
            with self._lock:
                self._waiting = rows | self._waiting  # the next time, unless there is a newer one
            return 0
        return len(rows)

    @contextlib.asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Write every second while this lasts, and at the end."""
        try:
            async with background(self._repeat(), "contacts"):
                yield
        finally:
            await asyncio.to_thread(self.write)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await asyncio.to_thread(self.write)
