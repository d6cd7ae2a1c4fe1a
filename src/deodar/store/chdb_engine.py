"""ClickHouse inside this process (chDB), with its tables in one folder.

What measurements of chDB taught, and what is done here:

- After a failed query its connection may hand the failed query's rows to the next one. So every
  call has a connection of its own, closed afterwards, whatever came of it; that costs 0.05 ms.
- A connection runs one query at a time, several connections run side by side.
- A query that fails while its rows are put out as Arrow may never return if it runs in several
  threads (1 of 30 tries); in one thread it always does. So what gives Arrow runs in one thread.
- ``readonly`` cannot be lifted, but it lets several statements, INTO OUTFILE, KILL and some table
  functions of the network through. So users' statements are looked at before they are run.
- ``DROP TABLE … SYNC`` never returns, so SYNC is taken off; what is dropped is gone at once anyway.
- ``ALTER TABLE`` on a full disk leaves the table's definition empty, and with that the whole store
  cannot be opened any more. So it is not begun without some room (`deodar.store.room`).
- The engine does not sync the folder that a new part is renamed into (`deodar.store.durability`).
- Rows go in from Arrow by the table function ``Python(variable)``, the fastest way there is.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import chdb
import pyarrow as pa

from deodar.store import parameters as binding
from deodar.store.arrow_results import bounded, from_stream
from deodar.store.columns import ColumnTypes
from deodar.store.durability import TableFolders
from deodar.store.engine import NO_LIMITS, NO_PARAMETERS, Limits, deduplication
from deodar.store.errors import StoreError, StoreUnavailable, from_engine
from deodar.store.names import quote_name, quote_table, quote_text, setting_name
from deodar.store.ownership import Ownership
from deodar.store.permissions import check_reading, reading_rows
from deodar.store.room import check_room, rewrites_definition
from deodar.store.statements import output_format, single, without_sync

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deodar.store.statements import Insert

Settings = dict[str, str | int | float]

# Of every connection, before a call's own.
BASE: Final[Settings] = {
    "session_timezone": "UTC",
    "async_insert": 0,
    "allow_introspection_functions": 0,
    "implicit_select": 0,
    "max_memory_usage": 4 << 30,
    "output_format_arrow_compression_method": "none",
    "output_format_arrow_string_as_string": 1,
}
DEDUPLICATION: Final = ("deduplicate_insert", "deduplicate_insert_select")
# Columnar formats, by the start of their names: written in one thread (see above).
ONE_THREAD: Final = ("arrow", "parquet", "orc")
# A batch is one block, so that it is stored wholly or not at all, however many rows it has.
ONE_BLOCK: Final[Settings] = {
    "max_block_size": 1 << 30,
    "max_insert_block_size": 1 << 30,
    "min_insert_block_size_rows": 1 << 30,
    "min_insert_block_size_bytes": 0,
    "max_insert_threads": 1,
}


class ChdbEngine:
    """The embedded engine; see `deodar.store.engine.Engine` for what its methods promise."""

    def __init__(self, folder: Path, *, connections: int = 32, patience: float = 60.0) -> None:
        """Open the store in `folder`, making it if need be.

        At most `connections` calls run at once; a further one waits up to `patience` seconds.
        Raises StoreBusy when the folder is held by another engine, StoreError when it is unusable.
        """
        self._folder = folder.absolute()
        self._patience = patience
        self._turn = threading.Condition()
        self._free = self._all = connections
        self._closed = False
        self._types = ColumnTypes(self.query)
        self._folders = TableFolders(self.query, self._folder)
        self._ownership = Ownership.take(self._folder)
        try:
            # The first connection starts the engine and the last one ends it: hold one throughout.
            self._anchor = chdb.connect(str(self._folder))
        except RuntimeError as error:
            self._ownership.release()
            raise StoreError(f"cannot open the store in {self._folder}: {error}") from error

    @classmethod
    def from_url(cls, url: str) -> ChdbEngine:
        """Return the engine of ``chdb:///absolute/folder``; raises StoreError for another form."""
        parts = urlsplit(url)
        if parts.netloc or not parts.path.startswith("/") or parts.query or parts.path == "/":
            raise StoreError(f"{url!r} is no store's URL; write chdb:///absolute/folder")
        return cls(Path(unquote(parts.path)))

    @property
    def folder(self) -> Path:
        """Where the tables are kept."""
        return self._folder

    @property
    def running(self) -> int:
        """How many calls run now."""
        return self._all - self._free

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] = NO_PARAMETERS,
        *,
        limits: Limits = NO_LIMITS,
    ) -> pa.Table:
        """Return the rows of a statement that Deodar wrote."""
        return from_stream(self._run(_one(sql), "ArrowStream", parameters, limits.as_settings()))

    def read_only(
        self, sql: str, parameters: Mapping[str, Any] = NO_PARAMETERS, *, limits: Limits
    ) -> pa.Table:
        """Return the rows of one reading statement that a user wrote."""
        statement = reading_rows(sql)
        settings = {**limits.as_settings(), "readonly": 1}
        return from_stream(self._run(statement, "ArrowStream", parameters, settings))

    def raw(
        self,
        sql: str,
        format: str,  # noqa: A002
        parameters: Mapping[str, Any] = NO_PARAMETERS,
        *,
        limits: Limits = NO_LIMITS,
        readonly: bool = True,
        database: str = "",
    ) -> bytes:
        """Return a result as bytes in one of ClickHouse's formats."""
        statement = check_reading(sql) if readonly else single(sql)
        settings = limits.as_settings() | ({"readonly": 1} if readonly else {})
        format = output_format(statement) or format  # noqa: A001
        return self._run(statement, format, parameters, settings, database)

    def command(self, sql: str, parameters: Mapping[str, Any] = NO_PARAMETERS) -> None:
        """Run a statement that has no rows to return.

        Raises StoreFull for a change of a table while there is no room for it.
        """
        if rewrites_definition(sql):
            check_room(self._folder)
        self._run(_one(sql), "Null", parameters, {})

    def insert(
        self,
        table: str,
        batch: pa.RecordBatch | pa.Table,
        *,
        deduplication_token: str | None = None,
    ) -> None:
        """Append the batch's rows as one block."""
        if not batch.num_rows:
            return
        self._types.check(table, batch.schema)
        settings: Settings = dict(ONE_BLOCK)
        settings |= deduplication(deduplication_token, DEDUPLICATION)
        self._insert(table, pa.table(batch), settings)
        self._folders.sync(table)

    def insert_encoded(
        self,
        rows: Insert,
        *,
        limits: Limits = NO_LIMITS,
        database: str = "",
    ) -> None:
        """Run an INSERT whose rows come encoded in one of ClickHouse's formats."""
        with _memory_file(rows.data) as path:
            source = f"FROM INFILE {quote_text(path)} COMPRESSION 'none' FORMAT {rows.format}"
            settings = ONE_BLOCK | limits.as_settings()
            self._run(f"{single(rows.head)} {source}", "Null", NO_PARAMETERS, settings, database)

    def close(self) -> None:
        """Wait for the calls that are running, then stop the engine and let the folder go."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._free == self._all)
        self._anchor.close()
        self._ownership.release()

    def _insert(self, table: str, deodar_rows: pa.Table, settings: Settings) -> None:
        """Insert; the library finds the table by the name of its variable in a caller's frame."""
        names = ", ".join(quote_name(name) for name in deodar_rows.column_names)
        target = quote_table(table)
        sql = f"INSERT INTO {target} ({names}) SELECT {names} FROM Python(deodar_rows)"  # noqa: S608
        with self._connection(settings) as connection:
            connection.query(sql, "Null")

    def _run(
        self,
        sql: str,
        format: str,  # noqa: A002
        parameters: Mapping[str, Any],
        settings: Settings,
        database: str = "",
    ) -> bytes:
        bound = binding.encode(sql, parameters)
        if format.lower().startswith(ONE_THREAD):
            settings = settings | {"max_threads": 1}
        with self._connection(settings, database) as connection:
            result: bytes = connection.query(without_sync(sql), format, params=bound).bytes()
            return bounded(result, settings)

    @contextmanager
    def _connection(self, settings: Settings, database: str = "") -> Iterator[Any]:
        """Give one call its own connection; errors of the library come out as QueryError."""
        with self._slot():
            try:
                with closing(chdb.connect(str(self._folder))) as connection:
                    if database:
                        connection.query(f"USE {quote_name(database)}", "Null")
                    connection.query(_set(BASE | settings), "Null")
                    yield connection
            except RuntimeError as error:
                raise from_engine(str(error)) from None

    @contextmanager
    def _slot(self) -> Iterator[None]:
        with self._turn:
            if not self._turn.wait_for(lambda: self._closed or self._free, self._patience):
                raise StoreUnavailable(f"{self._all} queries are running; try again later")
            if self._closed:
                raise StoreUnavailable(f"the store in {self._folder} is closed")
            self._free -= 1
        try:
            yield
        finally:
            with self._turn:
                self._free += 1
                self._turn.notify_all()


def _one(sql: str) -> str:
    """Return Deodar's own statement; only where a semicolon is seen is it looked at closer."""
    return single(sql) if ";" in sql else sql


def _set(settings: Settings) -> str:
    """Return the SET statement; ``readonly`` comes last since nothing can be set after it."""
    ordered = sorted(settings.items(), key=lambda item: item[0] == "readonly")
    return "SET " + ", ".join(f"{setting_name(k)} = {_value(v)}" for k, v in ordered)


def _value(value: str | float) -> str:
    return quote_text(value) if isinstance(value, str) else str(value)


@contextmanager
def _memory_file(data: bytes) -> Iterator[str]:
    """Give `data` a path that only lives as long as the block."""
    descriptor = os.memfd_create("deodar-insert", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
