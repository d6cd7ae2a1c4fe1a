"""Results that are not what they should be are refused."""

from __future__ import annotations

import pyarrow as pa
import pytest

from deodar.store.arrow_results import bounded, from_stream
from deodar.store.errors import QueryLimit, StoreError


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


GOOD = stream(pa.table({"a": ["x", None]}))


def test_a_whole_stream_is_a_table() -> None:
    assert from_stream(GOOD).to_pylist() == [{"a": "x"}, {"a": None}]


@pytest.mark.parametrize("data", [b"", GOOD[:-20], GOOD + b"x", GOOD + GOOD, b"foreign" + GOOD])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(StoreError):
        from_stream(data)


def test_broken_texts_are_repaired() -> None:
    raw = pa.array([b"A\xff", b"ok", None], pa.binary()).view(pa.string())
    assert from_stream(stream(pa.table({"a": raw})))["a"].to_pylist() == ["A\ufffd", "ok", None]


def test_bounded() -> None:
    assert bounded(GOOD, {}) == GOOD
    with pytest.raises(QueryLimit, match="10 are allowed"):
        bounded(b"x" * 100_000, {"max_result_bytes": 10})
