from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from deodar.siem.errors import ControlError
from deodar.siem.search.run import json_lines


def test_rows_become_lines_of_json():
    table = pa.table(
        {
            "text": ["a\u2028b", ""],
            "map": pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string())),
            "list": [["x"], []],
            "big": pa.array([2**63, 0], pa.uint64()),
            "time": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * 2, pa.timestamp("ms", "UTC")),
            "nan": [float("nan"), 1.5],
            "bytes": [b"\xff", b"b"],
        }
    )
    first, second = [json.loads(line) for line in json_lines(table).split(b"\n")[:2]]
    assert first == {
        "text": "a\u2028b",
        "map": {"k": "v"},
        "list": ["x"],
        "big": 2**63,
        "time": "2026-01-02T00:00:00+00:00",
        "nan": None,
        "bytes": "\ufffd",
    }
    assert second["nan"] == 1.5


def test_no_rows_are_no_lines():
    assert json_lines(pa.table({"a": pa.array([], pa.int64())})) == b""


def test_a_search_of_the_running_core_is_bounded_in_rows(core):
    sql = "select arrayJoin(range(200000)) from (select count() from events) limit 200000"
    with pytest.raises(ControlError, match=r"(?i)limit"):
        core.search(sql)


def test_an_unknown_column_is_named(core):
    with pytest.raises(ControlError, match="nonsense"):
        core.search("select nonsense from events")


def test_a_forbidden_statement_is_refused_by_the_core_too(core):
    with pytest.raises(ControlError, match="only SELECT"):
        core.search("drop table events")
