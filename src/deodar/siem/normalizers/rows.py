"""Rows of the event model, as mappings, to columns: for normalizers that work event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from deodar.columnar import kernels
from deodar.columnar.program import Outcome
from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deodar.columnar.dead_letters import DeadLetter

_MAP = pa.map_(pa.string(), pa.string())
_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "time": pa.int64(),
    "float": pa.float64(),
    "strings": pa.list_(pa.string()),
    "map": _MAP,
}


def outcome(
    rows: Sequence[Mapping[str, Any]], indexes: list[int], dead: list[DeadLetter]
) -> Outcome:
    """Return the outcome of a batch; `indexes` has for each row the index of its event.

    A field that no row has gets no column; values must be of their fields' kinds.
    """
    present = {name for row in rows for name in row}
    columns = {
        name: _column([row.get(name) for row in rows], _TYPES[field.kind])
        for name, field in MODEL.items()
        if name in present
    }
    if not columns and rows:  # a batch without columns has no rows
        columns = {"Message": pa.array([""] * len(rows), pa.string())}
    return Outcome(pa.RecordBatch.from_pydict(columns), indexes, dead)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == _MAP:
        return pa.array([list((value or {}).items()) for value in values], kind)
    return kernels.finish(pa.array(values, kind), nullable=False)
