"""How far each external system has got, and how far it is behind.

What was fetched is noted in memory and written once a second, so that fetching writes nothing by
itself. A system is behind by the events that the log has above the last one that was scanned for
it, whether its filter takes them or not, and by the age of the first of these.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import update

from deodar.edr.database import now_us
from deodar.edr.errors import ControlDataError
from deodar.edr.external_system import ACCEPTED, ExternalSystem
from deodar.edr.tables import external_systems as table
from deodar.kit.background import occurs
from deodar.kit.logging import logger
from deodar.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import ColumnElement, Connection

    from deodar.edr.database import Database
    from deodar.edr.external_system import Caller
    from deodar.edr.external_systems import Register
    from deodar.edr.log.view import View

WRITE_EVERY = 1.0

log = logger("edr.progress")


_Who = tuple[str, str, str]
"""An external system's id, address and certificate digest."""


class Standing(ExternalSystem, frozen=True):
    """An external system with how far it is behind; None when it is not known."""

    behind_events: int | None = None
    behind_seconds: float | None = None


class _Fetch(msgspec.Struct):
    """What a system fetched last, and how many events since the last writing."""

    at_us: int
    seq: int
    events: int


class Progress:
    """What accepted systems fetched. Used within one event loop, but for `standing`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._fetched: dict[_Who, _Fetch] = {}

    def note(self, caller: Caller, seq: int, events: int) -> None:
        """Note that a caller got an answer with so many events, scanned up to `seq`."""
        who = (caller.id, caller.ip, caller.digest)
        before = self._fetched.get(who)
        self._fetched[who] = _Fetch(now_us(), seq, events + (before.events if before else 0))

    @contextlib.asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Write what was noted every second, and at the end."""
        stop = asyncio.Event()
        task = asyncio.create_task(self._write_on(stop), name="progress")
        try:
            yield
        finally:
            stop.set()
            await task
            await self.write()

    async def write(self) -> None:
        """Write now; what cannot be written is kept for the next time."""
        taken, self._fetched = self._fetched, {}
        if not taken:
            return
        try:
            await asyncio.to_thread(self._put, taken)
        except ControlDataError as error:
            log.warning("progress_not_written", reason=str(error))
            for key, fetch in taken.items():
                newer = self._fetched.get(key)
                if newer is None:
                    self._fetched[key] = fetch
                else:
                    newer.events += fetch.events

    async def _write_on(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await occurs(stop, WRITE_EVERY)
            await self.write()

    def _put(self, fetched: dict[_Who, _Fetch]) -> None:
        with self._database.write() as connection:
            for (system, ip, digest), fetch in fetched.items():
                same = (table.c.id == system) & (table.c.digest == digest)
                if not _update(connection, same & (table.c.ip == ip), fetch):
                    _update(connection, same, fetch)  # accepted from another address


def _update(connection: Connection, which: ColumnElement[bool], fetch: _Fetch) -> bool:
    """Write a fetch into the accepted rows that are meant; returns whether there are any."""
    values = {
        "last_fetch_us": fetch.at_us,
        "last_seq": fetch.seq,
        "fetched_events": table.c.fetched_events + fetch.events,
    }
    accepted = which & (table.c.state == ACCEPTED)
    return connection.execute(update(table).where(accepted).values(**values)).rowcount > 0


def standings(register: Register, log_: View, state: str | None = None) -> list[Standing]:
    """Return the external systems with how far each is behind; asks the database and the store.

    Raises ControlDataError. While the store does not answer, the seconds are not known.
    """
    return [_standing(one, *_behind(one, log_)) for one in register.list(state)]


def without_log(systems: Sequence[ExternalSystem]) -> list[Standing]:
    """Return the same of systems while no log is at hand: nothing is known."""
    return [_standing(one) for one in systems]


def _standing(
    system: ExternalSystem, events: int | None = None, seconds: float | None = None
) -> Standing:
    known = msgspec.structs.asdict(system)
    return Standing(**known, behind_events=events, behind_seconds=seconds)


def _behind(system: ExternalSystem, log_: View) -> tuple[int | None, float | None]:
    """Return by how many events and seconds a system is behind, as far as that is known."""
    if system.state != ACCEPTED or not system.last_fetch_us:
        return None, None
    events = log_.behind(system.last_seq)
    if not events:
        return 0, 0.0
    try:
        received = log_.reader.received_after(system.last_seq)
    except StoreError as error:
        log.warning("standing_not_known", id=system.id, reason=str(error))
        return events, None
    seconds = 0.0 if received is None else max(0, now_us() - received) / 1e6
    return events, round(seconds, 3)
