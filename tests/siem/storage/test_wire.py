from __future__ import annotations

import pyarrow as pa
import pytest

from deodar.siem.errors import BatchRejected
from deodar.siem.storage.wire import fits, read_batch

COLUMNS = {
    "ID": "String",
    "Timestamp": "Int64",
    "BatchID": "LowCardinality(String)",
    "BatchTime": "DateTime64(3, 'UTC')",
    "Name": "LowCardinality(String)",
    "Extra": "Map(String, String)",
}
TIME = pa.array([1, 1], pa.timestamp("ms", "UTC"))
GOOD = {
    "ID": pa.array(["a", "b"]),
    "Timestamp": pa.array([1, 2], pa.int64()),
    "BatchID": pa.array(["batch", "batch"]),
    "BatchTime": TIME,
    "Name": pa.array(["x", "y"]),
}


def stream(columns) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_a_good_batch_is_read():
    assert read_batch(stream(GOOD), "batch", COLUMNS).num_rows == 2


def test_an_empty_batch_is_read():
    empty = {name: column[:0] for name, column in GOOD.items()}
    assert read_batch(stream(empty), "batch", COLUMNS).num_rows == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Nonsense": pa.array(["x", "y"])}, "no column Nonsense"),
        ({"Name": pa.array([1, 2])}, "column Name is int64"),
        ({"Timestamp": pa.array(["1", "2"])}, "column Timestamp is string"),
        ({"Timestamp": pa.array([1, 2], pa.uint64())}, "column Timestamp is uint64"),
        ({"BatchID": pa.array(["batch", "other"])}, "BatchID is not batch"),
        ({"BatchTime": pa.array([1, 2], pa.timestamp("ms", "UTC"))}, "BatchTime is not the same"),
        ({"BatchTime": pa.array([1, None], pa.timestamp("ms", "UTC"))}, "BatchTime"),
        ({"BatchTime": pa.array([1, 1], pa.timestamp("us", "UTC"))}, "column BatchTime is"),
        ({"ID": None}, "column ID is missing"),
    ],
)
def test_a_wrong_batch_is_refused_by_column(change, words):
    columns = {name: column for name, column in (GOOD | change).items() if column is not None}
    with pytest.raises(BatchRejected, match=words):
        read_batch(stream(columns), "batch", COLUMNS)


def test_a_column_that_is_there_twice_is_refused():
    table = pa.Table.from_arrays([*GOOD.values(), GOOD["Name"]], names=[*GOOD, "Name"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(BatchRejected, match="twice"):
        read_batch(sink.getvalue().to_pybytes(), "batch", COLUMNS)


def test_text_that_is_not_utf8_is_refused():
    broken = pa.StringArray.from_buffers(
        2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
    )
    with pytest.raises(BatchRejected, match="no Arrow IPC stream"):
        read_batch(stream(GOOD | {"Name": broken}), "batch", COLUMNS)


@pytest.mark.parametrize("payload", [b"", b"garbage", b"\xff" * 64, stream(GOOD)[:100]])
def test_what_is_no_arrow_stream_is_refused(payload):
    with pytest.raises(BatchRejected):
        read_batch(payload, "batch", COLUMNS)


@pytest.mark.parametrize(
    ("arrow", "clickhouse", "good"),
    [
        (pa.string(), "String", True),
        (pa.large_string(), "LowCardinality(String)", True),
        (pa.dictionary(pa.int32(), pa.string()), "LowCardinality(String)", True),
        (pa.binary(), "String", False),
        (pa.int64(), "Nullable(Int64)", True),
        (pa.float64(), "Int64", False),
        (pa.float64(), "Float64", True),
        (pa.list_(pa.string()), "Array(String)", True),
        (pa.list_(pa.int64()), "Array(String)", False),
        (pa.map_(pa.string(), pa.string()), "Map(String, String)", True),
        (pa.map_(pa.string(), pa.int64()), "Map(String, String)", False),
        (pa.string(), "Tuple(String)", False),
    ],
)
def test_which_types_fit(arrow, clickhouse, good):
    assert fits(arrow, clickhouse) is good
