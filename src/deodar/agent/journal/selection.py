"""Selecting stored events, window by window; and the reader of a file that no agent writes.

Nothing is held between two windows: neither a lock nor more than a window's records.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol

from deodar.agent.journal.connection import READ_ERRORS, told
from deodar.agent.journal.database import Database, Window
from deodar.agent.journal.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deodar.agent.journal.query import Query
    from deodar.agent.journal.record import Record


class Source(Protocol):
    """What can be read window by window; see `deodar.agent.journal.database.Database`."""

    def ends(self) -> tuple[int, int]:
        """Return the numbers of the first and the last record; the last is smaller if none."""

    def window(self, low: int, high: int, query: Query, *, reverse: bool) -> Window:
        """Return the next records; raises JournalError."""


def selected(
    source: Source, query: Query, last: int | None = None, *, reverse: bool = False
) -> Iterator[Record]:
    """Yield what meets the query, oldest first, or newest first if `reverse`.

    `last` takes only so many, the newest ones. Raises JournalError when the file cannot be read.
    """
    low, high = source.ends()
    if last is None:
        yield from _scan(source, query, low, high, reverse=reverse)
        return
    newest = islice(_scan(source, query, low, high, reverse=True), max(0, last))
    if reverse:
        yield from newest
        return
    start = high + 1
    for record in newest:
        start = record.event_id
    yield from _scan(source, query, start, high, reverse=False)


def _scan(source: Source, query: Query, low: int, high: int, *, reverse: bool) -> Iterator[Record]:
    while low <= high:
        records, edge = source.window(low, high, query, reverse=reverse)
        yield from records
        if reverse:
            high = edge - 1
        else:
            low = edge + 1


class ReadOnlyStore:
    """The events in a file, for when no agent runs, or for a copy. Raises JournalError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise JournalError(f"there are no events: {path} is not there")
        try:
            self._database = Database(path, read_only=True)
        except READ_ERRORS as error:
            raise told(error, path) from error

    def select(
        self, query: Query, last: int | None = None, *, reverse: bool = False
    ) -> Iterator[Record]:
        """Yield what meets the query; see `selected`."""
        return selected(self, query, last, reverse=reverse)

    def ends(self) -> tuple[int, int]:
        """Return the numbers of the first and the last record."""
        return self._database.first, self._database.last

    def window(self, low: int, high: int, query: Query, *, reverse: bool) -> Window:
        """Return the next records; raises JournalError."""
        try:
            return self._database.window(low, high, query, reverse=reverse)
        except READ_ERRORS as error:
            raise told(error, self.path) from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()
