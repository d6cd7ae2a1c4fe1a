"""Results as the engines give them, made safe to use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from deodar.store.errors import QueryLimit, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

TOO_LARGE: Final = 396
_FRAME: Final = 65_536  # bytes that a format's own head and foot may take


def from_stream(data: bytes) -> pa.Table:
    """Return the table in an ArrowStream result.

    Raises StoreError when there is no result at all, when it is cut off, and when anything stands
    before or after it: then it is not only this query's, and none of it can be trusted.
    """
    if not data:
        raise StoreError("the statement gave no rows and no columns: it is not one that reads")
    source = pa.BufferReader(data)
    try:
        with pa.ipc.open_stream(source) as reader:
            table = reader.read_all()
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"the engine's result is damaged: {error}") from error
    if source.tell() != len(data):
        raise StoreError(f"the engine's result has {len(data) - source.tell()} foreign bytes")
    return readable(table)


def bounded(data: bytes, settings: Mapping[str, str | int | float]) -> bytes:
    """Return the result's bytes if they keep to ``max_result_bytes``.

    The engine itself does not look at a result of one block. Raises QueryLimit.
    """
    most = int(settings.get("max_result_bytes", 0))
    if most and len(data) > most + _FRAME:
        raise QueryLimit(TOO_LARGE, f"the result has {len(data)} bytes; {most} are allowed")
    return data


def readable(table: pa.Table) -> pa.Table:
    """Return the table with every string valid UTF-8; bytes that are not become U+FFFD.

    ClickHouse's String holds any bytes, Arrow's string does not.
    """
    for index, column in enumerate(table.columns):
        if pa.types.is_string(column.type) and not _valid(column):
            table = table.set_column(index, table.field(index), _repaired(column))
    return table


def _valid(column: pa.ChunkedArray) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _repaired(column: pa.ChunkedArray) -> pa.ChunkedArray:
    values = column.cast(pa.binary()).to_pylist()
    texts = [None if value is None else value.decode("utf-8", "replace") for value in values]
    return pa.chunked_array([pa.array(texts, pa.string())])
