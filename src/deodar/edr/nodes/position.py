"""How far the shared log is committed, in the database: what makes one writer of several servers.

A writer holds a lock of its session in PostgreSQL, and a *term*, a number that rises with each
take-over. A block counts once its last number is noted here under the present term, by the session
that has the lock. So a writer that was replaced without knowing it can tell nobody of what it
wrote.

A block of it may still come into the store late, even after its process has died. Therefore a new
term begins behind a gap of `GAP` numbers, more than one block has, and the gap is void: readers
pass over it (`deodar.edr.log.voids`). What it had not noted, but had in the store before the
take-over, is below the gap and stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, insert, select, update

from deodar.edr.database import now_us, record
from deodar.edr.errors import NotWriter
from deodar.edr.log.voids import Void, Voids
from deodar.edr.settings import MOST_GROUP_EVENTS
from deodar.edr.tables_nodes import log_position as table
from deodar.edr.tables_nodes import log_voids

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.edr.database import Database, SessionLock

GAP = 2 * MOST_GROUP_EVENTS
"""More than the events of one block; a writer has no more than one block under way."""
_ONE = 1
_CONFIRM = (
    f"UPDATE {table.name} SET seq = :seq "  # noqa: S608  # a constant
    f"WHERE number = {_ONE} AND term = :term AND seq <= :seq"
)


class Position(NamedTuple):
    """The log's state: readers may see up to `seq`, but for void numbers, above `floor`."""

    term: int = 0
    seq: int = 0
    floor: int = 0
    writer: str = ""
    since_us: int = 0
    voids: Voids = Voids()


class Positions:
    """The position in one database; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Position:
        """Return the position; raises ControlDataError."""
        with self._database.read() as connection:
            return _read(connection)

    def begin(self, before: Position, end: int, writer: str) -> Position:
        """Begin a term for a writer that has the lock and found the log to end at `end`.

        `before` is the position as it was before the log's end was looked up. Raises NotWriter when
        somebody else was faster, ControlDataError.
        """
        end = max(end, before.seq)
        start = end + GAP
        with self._database.write() as connection:
            now = _read(connection)
            if now.term != before.term:
                raise NotWriter(f"{now.writer} has begun term {now.term} meanwhile")
            _widen(connection, now.voids, Void(end, start))
            values = {"term": now.term + 1, "seq": start, "writer": writer, "since_us": now_us()}
            _put(connection, values, new=now.term == 0)
            record(connection, "log writer", writer, f"term {now.term + 1} behind {end}", writer)
            return _read(connection)

    def give_up(self, term: int, floor: int) -> None:
        """Note that what is up to a number is about to be dropped; raises NotWriter."""
        with self._database.write() as connection:
            mine = (table.c.number == _ONE) & (table.c.term == term)
            changed = connection.execute(update(table).where(mine).values(floor=floor))
            if changed.rowcount != 1:
                raise NotWriter("another server writes the event log now")
            connection.execute(delete(log_voids).where(log_voids.c.upto <= floor))


def confirm(lock: SessionLock, term: int, seq: int) -> None:
    """Note that the log is committed up to a number, in the session that holds the lock.

    Raises NotWriter when another term has begun or the session was lost, ControlDataError.
    """
    if lock.execute(_CONFIRM, {"term": term, "seq": seq}) != 1:
        raise NotWriter("another server writes the event log now")


def _read(connection: Connection) -> Position:
    # One statement, so that voids and number belong together.
    joined = select(table, log_voids.c.after, log_voids.c.upto).outerjoin(
        log_voids, log_voids.c.upto > table.c.floor
    )
    rows = connection.execute(joined.where(table.c.number == _ONE)).all()
    if not rows:
        return Position()
    first = rows[0]
    voids = Voids(Void(int(row.after), int(row.upto)) for row in rows if row.upto is not None)
    numbers = int(first.term), int(first.seq), int(first.floor)
    return Position(*numbers, str(first.writer), int(first.since_us), voids)


def _widen(connection: Connection, voids: Voids, new: Void) -> None:
    """Add a range; one that it touches becomes part of it, as when nothing came in between."""
    touching = [one for one in voids if one.upto == new.after]
    for one in touching:
        connection.execute(delete(log_voids).where(log_voids.c.upto == one.upto))
    after = min([new.after, *(one.after for one in touching)])
    connection.execute(insert(log_voids).values(after=after, upto=new.upto))


def _put(connection: Connection, values: dict[str, Any], *, new: bool) -> None:
    if new:
        connection.execute(insert(table).values(number=_ONE, **values))
    else:
        connection.execute(update(table).where(table.c.number == _ONE).values(**values))
