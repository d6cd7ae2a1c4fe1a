"""The tables of control data in a backup: rows as they are, for SQLite and PostgreSQL alike.

They are read in one transaction, so that they fit one another, and written into tables of the same
revision, which are brought up to date afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import zstandard
from sqlalchemy import Integer, MetaData, func, select

from deodar.edr.database import VERSION_TABLE, Database, empty_database
from deodar.edr.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection, Table

_ROWS: Final = 1000
_FEWER: Final = {"file_blocks": 16}
"""Of rows that have up to a megabyte each."""
_LARGEST: Final = 1 << 30


class _Piece(msgspec.Struct, frozen=True):
    """Some rows of a table."""

    table: str
    columns: list[str]
    rows: list[list[Any]]


def dump(database: Database) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of files with the rows of all tables; raises ControlDataError."""
    with database.read() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        for table in _tables(connection):
            columns = [str(column.name) for column in table.columns]
            count = _FEWER.get(table.name, _ROWS)
            found = connection.execution_options(yield_per=count).execute(select(table))
            for number, rows in enumerate(found.partitions(count)):
                piece = _Piece(str(table.name), columns, [list(row) for row in rows])
                packed = zstandard.compress(msgspec.msgpack.encode(piece), 3)
                yield f"{table.name}.{number:06}", packed


def load(url: str, revision: str, pieces: Iterable[tuple[str, bytes]]) -> None:
    """Fill an empty database with the rows of a backup.

    Raises BackupError when it is not empty or the rows do not fit, ControlDataError when it cannot
    be used or the revision is not known.
    """
    with empty_database(url, revision) as connection:
        tables = {table.name: table for table in _tables(connection)}
        for table in reversed(list(tables.values())):
            connection.execute(table.delete())  # rows that migrations put in
        for name, packed in pieces:
            _insert(connection, tables, name, packed)
        if connection.dialect.name == "postgresql":
            for table in tables.values():
                _count_on(connection, table)
    Database(url).close()  # brings the tables up to date


def _tables(connection: Connection) -> list[Table]:
    """Return the tables in an order in which each comes after those that it refers to."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != VERSION_TABLE]


def _insert(connection: Connection, tables: dict[str, Table], name: str, packed: bytes) -> None:
    try:
        data = zstandard.decompress(packed, _LARGEST)
        piece = msgspec.msgpack.decode(data, type=_Piece)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise BackupError(f"control/{name} is damaged: {error}") from error
    table = tables.get(piece.table)
    if table is None or not set(piece.columns) <= set(table.columns.keys()):
        raise BackupError(f"control/{name} does not fit the tables of its revision")
    rows = [dict(zip(piece.columns, row, strict=True)) for row in piece.rows]
    connection.execute(table.insert(), rows)


def _count_on(connection: Connection, table: Table) -> None:
    """Let PostgreSQL's numbers go on behind the rows that came with theirs."""
    for column in table.primary_key.columns:
        if not isinstance(column.type, Integer) or column.server_default is None:
            continue
        last = connection.execute(select(func.max(column))).scalar_one()
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(select(func.setval(sequence, last or 1)))
