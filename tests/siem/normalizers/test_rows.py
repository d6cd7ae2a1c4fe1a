from __future__ import annotations

import pyarrow as pa

from deodar.siem.normalizers.rows import outcome


def test_rows_become_columns_of_their_fields_kinds():
    rows = [
        {"Name": "a", "SourcePort": 5, "Extra": {"k": "v"}},
        {"SourceLatitude": 1.5, "GroupedBy": ["x"], "StartTime": 7},
    ]
    batch = outcome(rows, [0, 2], []).batch
    assert batch.schema.field("SourcePort").type == pa.int64()
    assert batch.to_pylist()[0]["Extra"] == [("k", "v")]
    assert batch["Name"].to_pylist() == ["a", ""]
    assert batch["SourcePort"].to_pylist() == [5, 0]
    assert batch["GroupedBy"].to_pylist() == [[], ["x"]]
    assert "DestinationPort" not in batch.schema.names


def test_rows_without_any_value_are_rows_all_the_same():
    assert outcome([{}, {}], [0, 1], []).batch.num_rows == 2
    assert outcome([], [], []).batch.num_rows == 0
