"""Text for a column that is none is told, also after the table has changed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from deodar.store.columns import ColumnTypes
from deodar.store.errors import QueryError

TABLE = {
    "s": "String", "l": "LowCardinality(Nullable(String))", "n": "Nullable(Int64)",
    "a": "Array(String)",
}  # fmt: skip


class Tables:
    def __init__(self) -> None:
        self.columns = dict(TABLE)
        self.asked = 0

    def __call__(self, sql: str) -> pa.Table:
        assert sql == "DESCRIBE TABLE `t`"
        self.asked += 1
        return pa.table({"name": list(self.columns), "type": list(self.columns.values())})


def test_what_fits_is_asked_for_once() -> None:
    tables = Tables()
    types = ColumnTypes(tables)
    batch = pa.table({"s": ["x"], "l": pa.array(["x"]).dictionary_encode(), "n": [1], "a": [["x"]]})
    for _ in range(3):
        types.check("t", batch.schema)
    assert tables.asked == 1


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_text_for_a_number_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(QueryError, match=r"column n of table t is Nullable\(Int64\)"):
        ColumnTypes(Tables()).check("t", pa.schema([("n", kind)]))


def test_a_strange_column_is_refused_until_it_is_added() -> None:
    tables = Tables()
    types = ColumnTypes(tables)
    schema = pa.schema([("new", pa.string())])
    with pytest.raises(QueryError, match="no column new"):
        types.check("t", schema)
    tables.columns["new"] = "Int64"
    with pytest.raises(QueryError, match="column new of table t is Int64"):
        types.check("t", schema)
    tables.columns["new"] = "String"
    types.check("t", schema)
