"""What migrations refuse; that they are applied once is in the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deodar.store.errors import MigrationError
from deodar.store.migrations import Migration, migrate

if TYPE_CHECKING:
    from deodar.store.chdb_engine import ChdbEngine

CREATE = "CREATE TABLE IF NOT EXISTS {} (a String) ENGINE = MergeTree ORDER BY a"


@pytest.fixture
def first(table_name: str) -> Migration:
    return Migration(1, "table", [CREATE.format(table_name)])


def test_a_changed_text_is_an_error(
    deodar_store_engine: ChdbEngine, table_name: str, first: Migration
) -> None:
    migrate(deodar_store_engine, table_name, [first])
    changed = Migration(1, "table", [CREATE.format(table_name) + " SETTINGS index_granularity = 1"])
    with pytest.raises(MigrationError, match="applied with another text"):
        migrate(deodar_store_engine, table_name, [changed])


def test_a_newer_store_is_an_error(
    deodar_store_engine: ChdbEngine, table_name: str, first: Migration
) -> None:
    second = Migration(2, "column", [f"ALTER TABLE {table_name} ADD COLUMN b Int64"])
    assert migrate(deodar_store_engine, table_name, [first, second]) == [1, 2]
    with pytest.raises(MigrationError, match="newer version"):
        migrate(deodar_store_engine, table_name, [first])


def test_components_do_not_see_one_another(
    deodar_store_engine: ChdbEngine, table_name: str, first: Migration
) -> None:
    assert migrate(deodar_store_engine, f"{table_name} a", [first]) == [1]
    assert migrate(deodar_store_engine, f"{table_name} b", [first]) == [1]


def test_a_failed_statement_is_named_and_done_again(
    deodar_store_engine: ChdbEngine, table_name: str
) -> None:
    create = CREATE.format(table_name)
    broken = Migration(1, "two", [create, f"ALTER TABLE {table_name} ADD COLUMN b NoSuchType"])
    with pytest.raises(MigrationError, match=r"migration 1 \(two\).*statement 2.*NoSuchType"):
        migrate(deodar_store_engine, table_name, [broken])
    mended = Migration(1, "two", [create, f"ALTER TABLE {table_name} ADD COLUMN b Int64"])
    assert migrate(deodar_store_engine, table_name, [mended]) == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE x",
        "ALTER TABLE x DELETE WHERE 1",
        "ALTER TABLE x /* */ DROP COLUMN y",
        "DELETE FROM x WHERE 1",
        "TRUNCATE TABLE x",
        "ALTER TABLE x CLEAR COLUMN y",
        "ALTER TABLE x REPLACE PARTITION 1 FROM y",
        "CREATE OR REPLACE TABLE x (a Int8) ENGINE = Memory",
        "DETACH TABLE x",
    ],
)
def test_destroying_needs_a_mark(
    deodar_store_engine: ChdbEngine, table_name: str, statement: str
) -> None:
    with pytest.raises(MigrationError, match="destroys=True"):
        migrate(deodar_store_engine, table_name, [Migration(1, "bad", [statement])])


def test_a_marked_one_may_destroy(
    deodar_store_engine: ChdbEngine, table_name: str, first: Migration
) -> None:
    drop = Migration(2, "drop", [f"DROP TABLE IF EXISTS {table_name}"], destroys=True)
    assert migrate(deodar_store_engine, table_name, [first, drop]) == [1, 2]
    harmless = Migration(1, "text", ["SELECT 'DROP TABLE x' AS `DELETE`"])
    assert migrate(deodar_store_engine, f"{table_name} x", [harmless]) == [1]


@pytest.mark.parametrize("numbers", [[2], [1, 3], [2, 1], [1, 1]])
def test_numbers_have_no_gaps(
    deodar_store_engine: ChdbEngine, table_name: str, numbers: list[int]
) -> None:
    with pytest.raises(MigrationError, match="numbered 1, 2, 3"):
        migrate(deodar_store_engine, table_name, [Migration(n, "x", []) for n in numbers])
