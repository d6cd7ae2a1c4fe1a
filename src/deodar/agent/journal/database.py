"""The agent's own events in their file: a bounded number of rows and of bytes.

Reads take a window of rows at a time, so that nobody who reads slowly keeps a lock.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from deodar.agent.journal.connection import connect, connect_to_read
from deodar.agent.journal.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deodar.agent.journal.query import Query

WINDOW = 1000
"""Rows that are looked at in one go."""
BLOCK = 5000
"""Rows that are deleted in one transaction."""
MAXIMUM_BYTES = 512 << 20
LOOK_AT_SIZE_EVERY = 1000

_COLUMNS = (
    "event_id, event_type, date, danger_level, initiator, "
    "task_id, task_name, task_type, runtime_task_id, details"
)
_decoder = msgspec.json.Decoder(dict[str, str])


class Window(NamedTuple):
    """What was found among some rows, and the number of the row that was looked at last."""

    records: list[Record]
    edge: int


class Database:
    """An open file. Not for several threads at once: the caller holds a lock.

    Methods raise sqlite3.Error, OSError, or msgspec.DecodeError for damaged details.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._written = 0
        self._connection = connect_to_read(path) if read_only else connect(path)
        self.first, self.last = self._ends()

    def write(self, records: Sequence[Record], limit: int) -> None:
        """Store records, or store them again as they are now; keep at most `limit`."""
        rows = [_row(record) for record in records if record.event_id >= self.first]
        with self._transaction():
            self._connection.executemany(
                f"INSERT OR REPLACE INTO events ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
                rows,
            )
        self.last = max([self.last, *(row[0] for row in rows)])
        self._written += len(rows)
        if self.last - self.first >= limit:
            self.keep(limit - limit // 100)
        if self._written >= LOOK_AT_SIZE_EVERY:
            self._written = 0
            self._hold_size()

    def keep(self, count: int) -> None:
        """Delete all but the last rows, at least one; the oldest first, in blocks."""
        target = self.last - max(1, count)
        while self.first <= target:
            upto = min(target, self.first + BLOCK - 1)
            with self._transaction():
                self._connection.execute("DELETE FROM events WHERE event_id <= ?", (upto,))
            self.first = upto + 1

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk."""
        # As a script, which runs to its end: the first statement gives an empty row for each page.
        self._connection.executescript(
            "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);"
        )

    def window(self, low: int, high: int, query: Query, *, reverse: bool) -> Window:
        """Return what meets the query among the next rows from `low` up, or from `high` down."""
        order, far = ("DESC", low) if reverse else ("ASC", high)
        edge = self._connection.execute(
            f"SELECT event_id FROM events WHERE event_id BETWEEN ? AND ? "  # noqa: S608
            f"ORDER BY event_id {order} LIMIT 1 OFFSET {WINDOW - 1}",
            (low, high),
        ).fetchone()
        last = edge[0] if edge else far
        ends = (last, high) if reverse else (low, last)
        condition, parameters = query.to_sql()
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM events WHERE event_id BETWEEN ? AND ? AND {condition} "  # noqa: S608
            f"ORDER BY event_id {order}",
            (*ends, *parameters),
        )
        return Window([_record(row) for row in rows], last)

    def close(self) -> None:
        """Close the file; what is in its log goes into it."""
        self._connection.close()

    def _ends(self) -> tuple[int, int]:
        """Return the numbers of the first and the last row; (1, 0) if there is none."""
        found = self._connection.execute("SELECT min(event_id), max(event_id) FROM events")
        first, last = found.fetchone()
        return (1, 0) if last is None else (first, last)

    def _hold_size(self) -> None:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        used = (pages - free) * size
        if used > MAXIMUM_BYTES:
            self.keep(int((self.last - self.first + 1) * 0.9 * MAXIMUM_BYTES / used))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _row(record: Record) -> tuple[Any, ...]:
    return (
        record.event_id,
        record.event_type,
        record.date,
        record.danger_level,
        record.initiator,
        record.task_id,
        record.task_name,
        record.task_type,
        record.runtime_task_id,
        msgspec.json.encode(record.details).decode(),
    )


def _record(row: tuple[Any, ...]) -> Record:
    return Record(
        event_id=row[0],
        event_type=row[1],
        date=row[2],
        danger_level=row[3],
        initiator=row[4],
        task_id=row[5],
        task_name=row[6],
        task_type=row[7],
        runtime_task_id=row[8],
        details=_decoder.decode(row[9]),
    )
