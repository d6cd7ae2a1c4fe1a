"""Running a checked search, and its rows as JSON lines."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import orjson

from deodar.siem.search import DEFAULT_LIMIT
from deodar.siem.search.check import check_select
from deodar.store.engine import Limits

if TYPE_CHECKING:
    import pyarrow as pa

    from deodar.siem.settings import SearchLimits
    from deodar.store.engine import Engine

AT_ONCE = 1000  # rows that exist as Python objects at one time


def run_search(
    engine: Engine, sql: str, settings: SearchLimits, *, limit: int = DEFAULT_LIMIT
) -> pa.Table:
    """Return the rows of one SELECT on `events`; LIMIT `limit` unless the statement has one.

    Raises SearchRefused for what is not allowed, QueryError for what the store refuses, QueryLimit
    when the search costs too much.
    """
    limits = Limits(
        max_seconds=settings.seconds,
        max_rows=settings.rows,
        max_bytes=settings.bytes,
        max_memory=settings.memory,
    )
    return engine.read_only(check_select(sql, limit=limit), limits=limits)


def json_lines(table: pa.Table) -> bytes:
    """Return the rows as NDJSON: times as ISO 8601, maps as objects, what JSON lacks as null."""
    return b"".join(line for part in table.to_batches(AT_ONCE) for line in _lines(part))


def _lines(part: pa.RecordBatch) -> list[bytes]:
    rows = part.to_pylist(maps_as_pydicts="lossy")
    return [orjson.dumps(_plain(row), option=orjson.OPT_APPEND_NEWLINE) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
