"""Files that every node can get: their bytes in blocks in the shared database.

A block is as large as what an agent sends at a time, 1 MB at most, and all of them together are
bounded by whoever puts them here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from deodar.edr.database import now_us
from deodar.edr.tables_nodes import file_blocks as table
from deodar.edr.tasking.shelf import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.edr.database import Database


class DatabaseShelf:
    """Keeps bytes in a database; see `deodar.edr.tasking.shelf.Shelf` for what methods promise."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> list[Kept]:
        """Return what is there."""
        size, last = func.sum(table.c.size), func.max(table.c.at_us)
        query = select(table.c.name, size, last).group_by(table.c.name)
        now = now_us()
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Kept(str(name), int(size), (now - int(at)) / 1e6) for name, size, at in rows]

    def size(self, name: str) -> int | None:
        """Return how many bytes are there under a name, None when there is nothing."""
        query = select(func.sum(table.c.size)).where(table.c.name == name)
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else int(found)

    def put(self, name: str, offset: int, data: bytes) -> None:
        """Write a part; raises ControlDataError, also when another node writes the same one."""
        row = {"name": name, "start": offset, "size": len(data), "data": data, "at_us": now_us()}
        with self._database.write() as connection:
            if not offset:
                connection.execute(delete(table).where(table.c.name == name))
            connection.execute(insert(table).values(**row))

    def rename(self, name: str, new: str) -> None:
        """Call bytes otherwise."""
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.name == new))
            connection.execute(update(table).where(table.c.name == name).values(name=new))

    def remove(self, name: str) -> None:
        """Delete bytes, if they are there."""
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.name == name))

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield bytes block by block, each read by itself."""
        start = -1
        while True:
            following = (table.c.name == name) & (table.c.start > start)
            query = select(table.c.start, table.c.data).where(following)
            with self._database.read() as connection:
                row = connection.execute(query.order_by(table.c.start).limit(1)).first()
            if row is None:
                return
            start = int(row.start)
            yield bytes(row.data)
