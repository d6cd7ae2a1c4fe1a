"""Columns that are the same for a whole batch, or made by the caller, put beside those of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

Value = str | int | Sequence[str] | Sequence[int]


def with_columns(batch: pa.RecordBatch, columns: Mapping[str, Value | pa.Array]) -> pa.RecordBatch:
    """Return the batch with columns added: one text or integer is repeated for all rows.

    A sequence or an Arrow array must have one value for each row; a column of the same name is replaced.
    Raises ValueError if the lengths differ.
    """
    made = {name: batch.column(name) for name in batch.schema.names}
    for name, value in columns.items():
        made[name] = _column(value, batch.num_rows)
        if len(made[name]) != batch.num_rows:
            raise ValueError(f"{name} has {len(made[name])} values for {batch.num_rows} rows")
    return pa.RecordBatch.from_pydict(made)


def _column(value: Value | pa.Array, length: int) -> pa.Array:
    if isinstance(value, str | int):
        return pa.repeat(pa.scalar(value), length)
    return value if isinstance(value, pa.Array) else pa.array(value)
