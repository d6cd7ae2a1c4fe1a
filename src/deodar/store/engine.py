"""The seam between the programs and whatever keeps their tables.

Both engines speak ClickHouse's SQL. Calls block and may be made from any thread; asyncio programs
use ``asyncio.to_thread``. `open_engine` is the only place that knows which engines there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from deodar.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    import pyarrow as pa

    from deodar.store.statements import Insert

NO_PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Limits:
    """What one query may use; None means the engine's own default.

    Attributes:
        max_seconds: time until it is stopped.
        max_rows: rows of the result; more is an error, not a cut.
        max_bytes: bytes of the result, uncompressed, in the engine's own count.
        max_memory: bytes of memory while it runs.
        settings: further ClickHouse settings of this one query.
    """

    max_seconds: float | None = None
    max_rows: int | None = None
    max_bytes: int | None = None
    max_memory: int | None = None
    settings: Mapping[str, str | int | float] = field(default_factory=dict)

    def as_settings(self) -> dict[str, str | int | float]:
        """Return the ClickHouse settings that enforce these limits."""
        named: dict[str, str | int | float | None] = {
            "max_execution_time": self.max_seconds,
            "max_result_rows": self.max_rows,
            "max_result_bytes": self.max_bytes,
            "max_memory_usage": self.max_memory,
        }
        limits: dict[str, str | int | float] = {k: v for k, v in named.items() if v is not None}
        if limits.keys() & {"max_result_rows", "max_result_bytes"}:
            limits["result_overflow_mode"] = "throw"
        return {**self.settings, **limits}


NO_LIMITS: Final = Limits()


def deduplication(token: str | None, known: Container[str]) -> dict[str, str | int | float]:
    """Return the settings by which a block is known by `token`, or by nothing if there is none.

    Without them ClickHouse would know a block by its content, and drop an equal one. `known` holds
    the names of the engine's settings, which have changed over the years.
    """
    if token:
        return {"insert_deduplication_token": token}
    settings: dict[str, str | int | float] = {"insert_deduplicate": 0}
    for newer in ("deduplicate_insert", "deduplicate_insert_select"):
        if newer in known:
            settings[newer] = "disable"
    return settings


class Engine(Protocol):
    """A store of tables. Every method may be called from any thread, and raises StoreError."""

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] = NO_PARAMETERS,
        *,
        limits: Limits = NO_LIMITS,
    ) -> pa.Table:
        """Return the rows of a statement that Deodar itself wrote.

        Strings are ``string``, lists ``list<…>``, maps ``map<…>``; a result without rows still has
        its schema. Raises QueryError for a refused statement, QueryLimit at a limit, and
        StoreUnavailable when the engine is closed or away.
        """

    def read_only(
        self, sql: str, parameters: Mapping[str, Any] = NO_PARAMETERS, *, limits: Limits
    ) -> pa.Table:
        """Return the rows of a statement that a user wrote, under limits that it cannot lift.

        Raises QueryError for anything but one reading statement; else as `query`.
        """

    def raw(
        self,
        sql: str,
        format: str,  # noqa: A002 - ClickHouse's own word
        parameters: Mapping[str, Any] = NO_PARAMETERS,
        *,
        limits: Limits = NO_LIMITS,
        readonly: bool = True,
        database: str = "",
    ) -> bytes:
        """Return a result as bytes in one of ClickHouse's formats; a FORMAT in `sql` wins.

        `database` is where tables without one are looked for; empty means the engine's own. Raises
        as `read_only` does, or as `query` if `readonly` is false.
        """

    def command(self, sql: str, parameters: Mapping[str, Any] = NO_PARAMETERS) -> None:
        """Run a statement that has no rows to return. Raises as `query` does."""

    def insert(
        self,
        table: str,
        batch: pa.RecordBatch | pa.Table,
        *,
        deduplication_token: str | None = None,
    ) -> None:
        """Append the batch's rows to ``table`` or ``database.table`` as one block, by column name.

        Columns that the batch leaves out get their defaults, nulls become the default of a column
        that cannot hold them. On return the rows are stored. A second insert with the same token
        adds nothing, if the table has a deduplication window. Raises as `query` does.
        """

    def insert_encoded(
        self, rows: Insert, *, limits: Limits = NO_LIMITS, database: str = ""
    ) -> None:
        """Run an INSERT whose rows come encoded in one of ClickHouse's formats.

        Raises as `query` does, also for rows that the format does not allow; then none is stored.
        """

    def close(self) -> None:
        """Wait for the calls that are running, then let the store go. Twice is as good as once."""


def open_engine(url: str) -> Engine:
    """Return the engine that `url` names.

    ``chdb:///absolute/folder`` is ClickHouse inside this process. A server is
    ``clickhouse://user:password@host:port/database``, with ``?secure=1`` for TLS.

    Raises StoreError for any other URL, StoreBusy when the folder is in use, and StoreUnavailable
    when the server does not answer.
    """
    scheme = urlsplit(url).scheme
    if scheme == "chdb":
        from deodar.store.chdb_engine import ChdbEngine  # noqa: PLC0415 - each engine is heavy

        return ChdbEngine.from_url(url)
    if scheme == "clickhouse":
        from deodar.store.clickhouse_engine import ClickHouseEngine  # noqa: PLC0415

        return ClickHouseEngine.from_url(url)
    raise StoreError(
        f"the store's URL begins with {scheme or 'no scheme'!r}; "
        "write chdb:///folder or clickhouse://user:password@host:port/database"
    )
