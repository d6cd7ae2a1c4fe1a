from __future__ import annotations

import pyarrow as pa
import pytest

from deodar.siem.storage import schema
from deodar.siem.storage.model import MODEL
from deodar.store.engine import Engine
from deodar.store.migrations import migrate


@pytest.fixture(scope="module")
def engine(deodar_store_engine: Engine) -> Engine:
    migrate(deodar_store_engine, "siem", schema.MIGRATIONS)
    return deodar_store_engine


def batch(first: int, count: int) -> pa.RecordBatch:
    numbers = range(first, first + count)
    return pa.RecordBatch.from_pydict(
        {
            "ID": [f"id-{n}" for n in numbers],
            "Timestamp": pa.array(numbers, pa.int64()),
            "DeviceHostName": ["host"] * count,
            "DeviceCustomString4": [f"ls -l /srv/{n}" for n in numbers],
            "Extra": pa.array(
                [[("key", str(n))] for n in numbers], pa.map_(pa.string(), pa.string())
            ),
            "BatchID": ["b"] * count,
            "BatchTime": pa.array([1_750_000_000_123] * count, pa.timestamp("ms", "UTC")),
        }
    )


def rows(engine: Engine, sql: str) -> list[dict[str, object]]:
    return engine.query(sql).to_pylist()


def test_the_table_has_a_column_for_every_field(engine: Engine) -> None:
    where = "table = 'events' AND database = currentDatabase()"
    found = rows(engine, f"SELECT name, type FROM system.columns WHERE {where}")
    types = {row["name"]: row["type"] for row in found}
    assert set(types) == {*MODEL, "BatchID", "BatchTime"}
    assert types["EndTime"] == "Int64"
    assert types["SourceLatitude"] == "Float64"
    assert types["Extra"] == "Map(String, String)"


def test_a_batch_is_stored_once_whoever_repeats_it(engine: Engine) -> None:
    engine.insert("events", batch(0, 10), deduplication_token="one")
    engine.insert("events", batch(0, 10), deduplication_token="one")
    engine.insert("events", batch(10, 5), deduplication_token="two")
    sql = "SELECT count() AS n, uniqExact(ID) AS ids FROM events"
    assert rows(engine, sql) == [{"n": 15, "ids": 15}]
    found = rows(
        engine,
        "SELECT ID, Extra['key'] AS k, Name, SourcePort FROM events "
        "WHERE DeviceCustomString4 LIKE '%srv/12%'",
    )
    assert found == [{"ID": "id-12", "k": "12", "Name": "", "SourcePort": 0}]


def test_the_indexes_are_used_where_they_pay(engine: Engine) -> None:
    engine.insert("events", batch(100, 1), deduplication_token="three")
    for condition, index in (
        ("ID = 'id-3'", "by_id"),
        ("FileHash = 'abc'", "by_hash"),
        ("DeviceCustomString4 LIKE '%nothing like it%'", "by_command"),
    ):
        plan = rows(engine, f"EXPLAIN indexes = 1 SELECT count() FROM events WHERE {condition}")
        assert index in str(plan)


def test_the_migration_is_repeatable(engine: Engine) -> None:
    assert migrate(engine, "siem", schema.MIGRATIONS) == []
    for statement in schema.MIGRATIONS[0].statements:
        engine.command(statement)


def test_settings_that_keep_what_was_acknowledged() -> None:
    text = schema.create_table()
    assert "fsync_after_insert = 1" in text
    assert "fsync_part_directory = 1" in text
    assert "min_bytes_for_wide_part = 134217728" in text
    assert schema.DEDUPLICATION_WINDOW >= 10_000
