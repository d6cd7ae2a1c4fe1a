"""A ClickHouse server or cluster over the network, by its HTTP protocol (clickhouse-connect)."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, ProgrammingError
from clickhouse_connect.driver.httputil import get_pool_manager

from deodar.store import parameters as binding
from deodar.store.arrow_results import bounded, from_stream
from deodar.store.columns import ColumnTypes
from deodar.store.engine import NO_LIMITS, NO_PARAMETERS, Limits, deduplication
from deodar.store.errors import QueryError, StoreError, StoreUnavailable, from_engine
from deodar.store.names import quote_name, quote_table
from deodar.store.permissions import check_reading, reading_rows
from deodar.store.statements import single

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deodar.store.statements import Insert

Settings = dict[str, str | int | float]

# Of every call. Results are complete before the first byte comes, so an error is never in a body.
BASE: Final[Settings] = {
    "session_timezone": "UTC",
    "async_insert": 0,
    "output_format_arrow_string_as_string": 1,
}
# A batch is one block, so that it is stored wholly or not at all, however many rows it has.
ONE_BLOCK: Final[Settings] = {
    "max_insert_block_size": 1 << 30,
    "min_insert_block_size_rows": 1 << 30,
    "min_insert_block_size_bytes": 0,
    "input_format_parallel_parsing": 0,
    "input_format_null_as_default": 1,
}
_URL: Final = re.compile(r" \(for url [^)]*\)$")  # what the library adds to an error's text
_REFUSED: Final = frozenset({192, 193, 194, 516})  # user or password


class ClickHouseEngine:
    """A server's database; see `deodar.store.engine.Engine` for what its methods promise."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        user: str = "default",
        password: str = "",
        database: str = "default",
        secure: bool = False,
        connections: int = 32,
    ) -> None:
        """Connect and ask the server for its version.

        Raises StoreUnavailable when it does not answer, StoreError when it refuses the user.
        """
        self._where = f"{host}:{port}"
        self._database = database
        self._closed = False
        self._types = ColumnTypes(self.query)
        self._pool = get_pool_manager(maxsize=connections)
        try:
            self._client = clickhouse_connect.get_client(
                host=host,
                port=port,
                username=user,
                password=password,
                database=database,
                interface="https" if secure else "http",
                compress="zstd",
                autogenerate_session_id=False,  # a session would allow one call at a time
                pool_mgr=self._pool,
                send_receive_timeout=600,
            )
        except ClickHouseError as error:
            self._pool.clear()
            raise self._opening_error(error) from None

    @classmethod
    def from_url(cls, url: str) -> ClickHouseEngine:
        """Return the engine of ``clickhouse://user:password@host:port/database[?secure=1]``.

        Raises StoreError when the URL is not of that form.
        """
        parts = urlsplit(url)
        options = parse_qs(parts.query, keep_blank_values=True)
        unknown = options.keys() - {"secure"}
        if unknown or not parts.hostname:
            raise StoreError(
                f"cannot use the store's URL (host {parts.hostname!r}, options {sorted(options)}); "
                "write clickhouse://user:password@host:port/database, with ?secure=1 for TLS"
            )
        secure = options.get("secure", ["0"])[-1] not in {"0", "false", ""}
        return cls(
            parts.hostname,
            parts.port or (8443 if secure else 8123),
            user=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")) or "default",
            secure=secure,
        )

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] = NO_PARAMETERS,
        *,
        limits: Limits = NO_LIMITS,
    ) -> pa.Table:
        """Return the rows of a statement that Deodar wrote."""
        return from_stream(self._run(single(sql), "ArrowStream", parameters, limits.as_settings()))

    def read_only(
        self, sql: str, parameters: Mapping[str, Any] = NO_PARAMETERS, *, limits: Limits
    ) -> pa.Table:
        """Return the rows of one reading statement that a user wrote."""
        settings = {**limits.as_settings(), "readonly": 1}
        return from_stream(self._run(reading_rows(sql), "ArrowStream", parameters, settings))

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
        return self._run(statement, format, parameters, settings, database)

    def command(self, sql: str, parameters: Mapping[str, Any] = NO_PARAMETERS) -> None:
        """Run a statement that has no rows to return."""
        self._run(single(sql), "Null", parameters, {})

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
        settings = dict(ONE_BLOCK)
        settings |= deduplication(deduplication_token, self._client.server_settings)
        names = ", ".join(map(quote_name, batch.schema.names))
        head = f"INSERT INTO {quote_table(table)} ({names}) FORMAT ArrowStream"
        self._send(head, _stream(pa.table(batch)), settings)

    def insert_encoded(
        self, rows: Insert, *, limits: Limits = NO_LIMITS, database: str = ""
    ) -> None:
        """Run an INSERT whose rows come encoded in one of ClickHouse's formats."""
        head = f"{single(rows.head)} FORMAT {rows.format}"
        self._send(head, rows.data, ONE_BLOCK | limits.as_settings(), database)

    def close(self) -> None:
        """Let the connections go; calls that are running end by themselves."""
        self._closed = True
        self._client.close()
        self._pool.clear()

    def _run(
        self,
        sql: str,
        format: str,  # noqa: A002
        parameters: Mapping[str, Any],
        settings: Settings,
        database: str = "",
    ) -> bytes:
        with self._errors():
            result: bytes = self._client.raw_query(
                sql,
                parameters=_bound(sql, parameters),
                settings=BASE | settings | {"database": database or self._database},
                use_database=False,
                transport_settings={"X-ClickHouse-Format": format},
            )
            return bounded(result, settings)

    def _send(self, head: str, data: bytes, settings: Settings, database: str = "") -> None:
        named: Settings = {"database": database or self._database}
        with self._errors():
            body = head.encode() + b"\n" + data
            self._client.raw_insert("", insert_block=body, settings=BASE | settings | named)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailable(f"the connection to {self._where} is closed")
        try:
            yield
        except ClickHouseError as error:
            raise self._error(error) from None

    def _error(self, error: ClickHouseError) -> StoreError:
        code = getattr(error, "code", None)
        if isinstance(error, DatabaseError) and code:
            return from_engine(_URL.sub("", str(error)), code=int(code))
        if isinstance(error, ProgrammingError):
            return QueryError(0, str(error))
        return StoreUnavailable(f"ClickHouse at {self._where} does not answer: {error}")

    def _opening_error(self, error: ClickHouseError) -> StoreError:
        found = self._error(error)
        if isinstance(found, QueryError) and found.code in _REFUSED:
            return StoreError(f"ClickHouse at {self._where} refuses the user or the password")
        return found


class _Text:
    """A parameter in its text form, which the client library passes on as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def _bound(sql: str, parameters: Mapping[str, Any]) -> dict[str, _Text] | None:
    """Return the parameters that `sql` names, for the server to bind.

    With none of them named, the library would format the statement itself with ``%``.
    """
    encoded = binding.encode(sql, parameters)
    return {k: _Text(v) for k, v in encoded.items() if f"{{{k}:" in sql} or None


def _stream(table: pa.Table) -> bytes:
    """Return the table as one Arrow record batch; more than one would be more than one block."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table.combine_chunks())
    data: bytes = sink.getvalue().to_pybytes()
    return data
