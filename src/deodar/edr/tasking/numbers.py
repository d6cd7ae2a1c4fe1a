"""One rising number for every change that an agent has to learn of.

It is given within the transaction of the change, under the lock of its row, so that numbers appear
in the order of commits, also with several servers on one PostgreSQL: who has seen a number has
seen all before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from deodar.edr.tables_response import tasking_numbers as table

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ROW = "tasking"


def take(connection: Connection) -> int:
    """Return the next number, within a transaction that writes."""
    key = table.c.name == _ROW
    connection.execute(update(table).where(key).values(number=table.c.number + 1))
    return current(connection)


def current(connection: Connection) -> int:
    """Return the last number that was given, 0 before the first."""
    found = connection.execute(select(table.c.number).where(table.c.name == _ROW)).scalar()
    return int(found or 0)
