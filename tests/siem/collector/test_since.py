from __future__ import annotations

import pyarrow as pa

from deodar.columnar.program import Outcome
from deodar.siem.collector.since import cut

SINCE_US = 5_000_000


def outcome(**columns):
    batch = pa.RecordBatch.from_pydict(columns)
    return Outcome(batch, list(range(10, 10 + batch.num_rows)))


def test_what_is_older_is_left_out_and_counted():
    given = outcome(Name=["a", "b", "c"], EndTime=[4_999, 5_000, 9_000])
    found, too_old = cut(given, SINCE_US)
    assert found.batch.column("Name").to_pylist() == ["b", "c"]
    assert (found.rows, too_old) == ([11, 12], 1)


def test_without_an_end_the_start_counts_and_without_both_it_is_kept():
    given = outcome(EndTime=[0, 0, None, 9_000], StartTime=[1, 9_000, 0, 1])
    found, too_old = cut(given, SINCE_US)
    assert (found.rows, too_old) == ([11, 12, 13], 1)
    undated = outcome(Name=["a"])
    assert cut(undated, SINCE_US) == (undated, 0)


def test_without_a_limit_nothing_is_looked_at():
    given = outcome(EndTime=[1])
    assert cut(given, 0) == (given, 0)


def test_nothing_may_be_left():
    found, too_old = cut(outcome(EndTime=[1, 2]), SINCE_US)
    assert (found.batch.num_rows, found.rows, too_old) == (0, [], 2)
    empty = outcome(EndTime=pa.array([], pa.int64()))
    assert cut(empty, SINCE_US)[1] == 0
