"""Requests to scan files, and their results, for external systems to fetch.

States are those of KATA's scan API: ``processing``, ``detect``, ``not detected``, ``error``,
``timeout``. Results are kept within a number for each system and a time. A request under an id that
is known takes the place of the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from deodar.edr.database import now_us
from deodar.edr.errors import TooManyRequests
from deodar.edr.tables_response import scans as table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row
    from sqlalchemy.sql.elements import ColumnElement

    from deodar.edr.database import Database

PROCESSING, DETECT, NOT_DETECTED, ERROR, TIMEOUT = (
    "processing",
    "detect",
    "not detected",
    "error",
    "timeout",
)
STATES = (PROCESSING, DETECT, NOT_DETECTED, ERROR, TIMEOUT)
MOST_WAITING = 1000
"""Requests without a result, of all systems together."""
MOST_KEPT = 10_000
"""Results of one system; the oldest go first."""
KEPT_US = 7 * 86_400 * 1_000_000
LOST_US = 3600 * 1_000_000
"""After so long a request without a result has none: its server is gone."""
RETRY_AFTER = 60


class NewScan(msgspec.Struct, frozen=True):
    """A file to be scanned: whose it is, by which id, its name and its bytes' facts."""

    system: str
    instance: str
    scan_id: str
    name: str
    size: int
    sha256: str


class Scan(NewScan, frozen=True):
    """A request with its result; `rules` is JSON."""

    number: int
    state: str
    created_us: int
    ended_us: int
    rules: str
    reason: str


class Scans:
    """The requests of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewScan) -> int:
        """Keep a request; returns its number. Raises TooManyRequests while too many wait."""
        row = msgspec.structs.asdict(new) | {"state": PROCESSING, "created_us": now_us()}
        with self._database.write() as connection:
            connection.execute(delete(table).where(_is(new.system, new.instance, new.scan_id)))
            waiting = select(func.count()).where(table.c.state == PROCESSING)
            count = connection.execute(waiting).scalar_one()
            if count >= MOST_WAITING:
                raise TooManyRequests(
                    f"Number of requests exceeded: {count} files wait to be scanned", RETRY_AFTER
                )
            _make_room(connection, new.system)
            made = connection.execute(insert(table).values(**row))
            return int(made.inserted_primary_key[0])  # type: ignore[index]

    def find(self, number: int) -> Scan | None:
        """Return a request by its number; None when it was deleted."""
        with self._database.read() as connection:
            row = connection.execute(select(table).where(table.c.number == number)).first()
        return None if row is None else _scan(row)

    def finish(
        self, connection: Connection, number: int, state: str, rules: str = "", reason: str = ""
    ) -> bool:
        """Keep a result within a transaction; returns whether the request is still there."""
        values = {"state": state, "rules": rules, "reason": reason[:500], "ended_us": now_us()}
        still = (table.c.number == number) & (table.c.state == PROCESSING)
        return connection.execute(update(table).where(still).values(**values)).rowcount == 1

    def of(self, system: str, instance: str | None, states: Sequence[str]) -> list[Scan]:
        """Return a system's requests, the oldest first; of one instance, in these states."""
        query = select(table).where(table.c.system == system).order_by(table.c.number)
        if instance is not None:
            query = query.where(table.c.instance == instance)
        if states:
            query = query.where(table.c.state.in_(states))
        with self._database.read() as connection:
            return [_scan(row) for row in connection.execute(query).all()]

    def remove(self, system: str, instance: str | None, scan_id: str | None) -> int:
        """Delete a system's requests, or the one of an id; returns how many."""
        wanted = table.c.system == system
        if instance is not None:
            wanted &= table.c.instance == instance
        if scan_id is not None:
            wanted &= table.c.scan_id == scan_id
        with self._database.write() as connection:
            return connection.execute(delete(table).where(wanted)).rowcount

    def unfinished(self) -> list[int]:
        """Return the numbers of requests without a result, the oldest first."""
        query = select(table.c.number).where(table.c.state == PROCESSING).order_by(table.c.number)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def forget(self) -> int:
        """Delete old results, and give up requests that no server works on; returns how many."""
        now = now_us()
        old = (table.c.state != PROCESSING) & (table.c.ended_us < now - KEPT_US)
        lost = (table.c.state == PROCESSING) & (table.c.created_us < now - LOST_US)
        values = {"state": ERROR, "ended_us": now, "reason": "no server scanned it in an hour"}
        with self._database.write() as connection:
            given_up = connection.execute(update(table).where(lost).values(**values)).rowcount
            return given_up + connection.execute(delete(table).where(old)).rowcount


def _is(system: str, instance: str, scan_id: str) -> ColumnElement[bool]:
    return (
        (table.c.system == system) & (table.c.instance == instance) & (table.c.scan_id == scan_id)
    )


def _make_room(connection: Connection, system: str) -> None:
    mine = table.c.system == system
    count = connection.execute(select(func.count()).where(mine)).scalar_one()
    if count < MOST_KEPT:
        return
    oldest = (
        select(table.c.number)
        .where(mine & (table.c.state != PROCESSING))
        .order_by(table.c.number)
        .limit(count - MOST_KEPT + 1)
    )
    numbers = list(connection.execute(oldest).scalars())
    connection.execute(delete(table).where(table.c.number.in_(numbers)))


def _scan(row: Row[Any]) -> Scan:
    return Scan(**row._mapping)  # SQLAlchemy's public name for it
