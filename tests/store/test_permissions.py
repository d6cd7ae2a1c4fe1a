"""The lists are complete; what is refused is shown in the contract and in the front's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.store.errors import QueryError
from deodar.store.permissions import INSIDE, OUTSIDE, check_changing, check_reading, reading_rows

if TYPE_CHECKING:
    from deodar.store.chdb_engine import ChdbEngine


def test_every_table_function_of_the_engine_is_listed(deodar_store_engine: ChdbEngine) -> None:
    rows = deodar_store_engine.query("SELECT lower(name) AS name FROM system.table_functions")
    assert set(rows["name"].to_pylist()) - OUTSIDE - INSIDE == set()
    assert not OUTSIDE & INSIDE


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a Int8) ENGINE = ReplacingMergeTree ORDER BY a",
        "CREATE TABLE t ENGINE MergeTree ORDER BY a AS SELECT 1 AS a",
        "CREATE MATERIALIZED VIEW v TO t AS SELECT engine FROM system.tables",
        "ALTER TABLE t DROP PARTITION 1",
        "SELECT url, file FROM t WHERE engine = 'x'",
    ],
)
def test_tables_may_be_changed(sql: str) -> None:
    assert check_changing(sql) == sql


def test_reading_is_not_changing() -> None:
    assert check_reading("SELECT 1;") == "SELECT 1"
    for sql in ("DROP TABLE t", "INSERT INTO t SELECT 1", "1 + 1"):
        with pytest.raises(QueryError):
            check_reading(sql)
    with pytest.raises(QueryError, match="FORMAT"):
        reading_rows("SELECT 1 FORMAT CSV")
