"""Arrow results as the engines give them, made safe to use."""

from __future__ import annotations

import pyarrow as pa

from deodar.store.errors import StoreError


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
    except pa.ArrowInvalid as error:
        raise StoreError(f"the engine's result is damaged: {error}") from error
    if source.tell() != len(data):
        raise StoreError(f"the engine's result has {len(data) - source.tell()} foreign bytes")
    return readable(table)


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
