"""Batches as they come to the storage service: Arrow IPC, checked before the store sees them.

A batch may leave columns out, since the table has defaults; it may not bring others, nor other
types, nor more than one batch time, which decides on the partition.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from deodar.siem.errors import BatchRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUIRED = ("ID", "Timestamp", "BatchID", "BatchTime")
_WRAPPED = re.compile(r"(?:LowCardinality|Nullable)\((.*)\)")


def read_batch(payload: bytes, batch_id: str, columns: Mapping[str, str]) -> pa.Table:
    """Return the rows of an Arrow IPC stream; `columns` are the table's, name to ClickHouse type.

    Raises BatchRejected that says which column is wrong and how.
    """
    try:
        table = pa.ipc.open_stream(payload).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BatchRejected(f"the body is no Arrow IPC stream: {error}") from error
    _check_columns(table.schema, columns)
    if table.num_rows:
        _check_identity(table, batch_id)
    return table


def _check_columns(schema: pa.Schema, columns: Mapping[str, str]) -> None:
    names = schema.names
    if len(set(names)) != len(names):
        raise BatchRejected("a column is there twice")
    for name in REQUIRED:
        if name not in names:
            raise BatchRejected(f"the column {name} is missing")
    for field in schema:
        kind = columns.get(field.name)
        if kind is None:
            raise BatchRejected(f"the table has no column {field.name}")
        if not fits(field.type, kind):
            raise BatchRejected(f"the column {field.name} is {field.type}, not {kind}")


def _check_identity(table: pa.Table, batch_id: str) -> None:
    if pc.unique(table["BatchID"]).to_pylist() != [batch_id]:
        raise BatchRejected(f"the column BatchID is not {batch_id} throughout")
    if len(pc.unique(table["BatchTime"])) != 1 or table["BatchTime"].null_count:
        raise BatchRejected("the column BatchTime is not the same throughout")


def fits(arrow: pa.DataType, clickhouse: str) -> bool:
    """Whether an Arrow column can be inserted into a ClickHouse column without loss."""
    wrapped = _WRAPPED.fullmatch(clickhouse)
    if wrapped:
        return fits(arrow, wrapped[1])
    test = next((test for prefix, test in _FITS if clickhouse.startswith(prefix)), None)
    return test is not None and test(arrow)


def _is_text(arrow: pa.DataType) -> bool:
    if pa.types.is_dictionary(arrow):
        return _is_text(arrow.value_type)
    return bool(pa.types.is_string(arrow) or pa.types.is_large_string(arrow))


def _is_texts(arrow: pa.DataType) -> bool:
    listed = pa.types.is_list(arrow) or pa.types.is_large_list(arrow)
    return bool(listed and _is_text(arrow.value_type))


def _is_text_map(arrow: pa.DataType) -> bool:
    if not pa.types.is_map(arrow):
        return False
    return _is_text(arrow.key_type) and _is_text(arrow.item_type)


def _is(*kinds: pa.DataType) -> Callable[[pa.DataType], bool]:
    return lambda arrow: any(arrow.equals(kind) for kind in kinds)


def _is_milliseconds(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(arrow) and arrow.unit == "ms")


_FITS: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("String", _is_text),
    ("Array(String)", _is_texts),
    ("Array(LowCardinality(String))", _is_texts),
    ("Map(", _is_text_map),
    ("Int64", _is(pa.int64(), pa.int32(), pa.int16(), pa.int8(), pa.uint32(), pa.uint16())),
    ("Int32", _is(pa.int32(), pa.int16(), pa.int8(), pa.uint16(), pa.uint8())),
    ("UInt8", _is(pa.uint8(), pa.bool_())),
    ("UInt64", _is(pa.uint64(), pa.uint32())),
    ("Float64", _is(pa.float64(), pa.float32())),
    ("DateTime64(3", _is_milliseconds),
)
