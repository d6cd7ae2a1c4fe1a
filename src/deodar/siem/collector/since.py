"""Leaving out events that are older than a stream was wanted from: after normalizing, counted.

The time of an event is its EndTime, else its StartTime, in ms since the epoch. An event without
either is kept, for nobody can say that it is old.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from deodar.columnar.program import Outcome

_TIMES = ("EndTime", "StartTime")


def cut(outcome: Outcome, since_us: int) -> tuple[Outcome, int]:
    """Return the outcome without what is older than `since_us` (0: all are kept), and how many.

    `since_us` is µs since the epoch.
    """
    if not since_us:
        return outcome, 0
    moments = _moments(outcome.batch)
    wanted = pc.or_(pc.equal(moments, 0), pc.greater_equal(moments, since_us // 1000))
    if (kept := pc.sum(wanted).as_py() or 0) == outcome.batch.num_rows:
        return outcome, 0
    rows = [row for row, keep in zip(outcome.rows, wanted.to_pylist(), strict=True) if keep]
    cut_batch = outcome.batch.filter(wanted)
    return replace(outcome, batch=cut_batch, rows=rows), outcome.batch.num_rows - kept


def _moments(batch: pa.RecordBatch) -> pa.Array:
    """Return each event's time in ms, 0 where it has none."""
    found = pa.repeat(pa.scalar(0, pa.int64()), batch.num_rows)
    for name in reversed(_TIMES):
        if name in batch.schema.names:
            column = pc.fill_null(pc.cast(batch.column(name), pa.int64()), 0)
            found = pc.if_else(pc.equal(column, 0), found, column)
    return found
