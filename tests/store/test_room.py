from __future__ import annotations

import subprocess
import sys

import pytest
from tests.e2e.disk import disk

from deodar.store.errors import StoreFull
from deodar.store.room import NEEDED, check_room, rewrites_definition

PROGRAM = """
import sys
from deodar.store.engine import open_engine
from deodar.store.errors import StoreFull
store = open_engine("chdb://" + sys.argv[1])
try:
    store.command(sys.argv[2])
except StoreFull as error:
    print("full:", error)
print(store.query("SELECT count() AS n FROM t").to_pylist())
store.close()
"""


@pytest.mark.parametrize(
    ("sql", "does"),
    [
        ("ALTER TABLE t MODIFY SETTING a = 1", True),
        ("  alter table t add column n Int64", True),
        ("ALTER TABLE t DROP COLUMN n", True),
        ("ALTER TABLE t DROP PARTITION 20261122", False),
        ("INSERT INTO t SELECT 'ALTER TABLE'", False),
        ("SELECT 1", False),
        ("CREATE TABLE alter (n Int64) ENGINE = Memory", False),
    ],
)
def test_what_rewrites_a_tables_definition(sql, does):
    assert rewrites_definition(sql) == does


def test_where_there_is_room_nothing_is_said(tmp_path):
    check_room(tmp_path)


@pytest.mark.root
def test_a_table_is_not_changed_on_a_full_disk_and_the_store_opens_again(tmp_path):
    with disk(tmp_path, "ext4", 640 << 20) as storage:

        def run(sql: str) -> str:
            command = [sys.executable, "-c", PROGRAM, str(storage.mount / "store"), sql]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return done.stdout

        run("CREATE TABLE t (n Int64) ENGINE = MergeTree PARTITION BY n ORDER BY n")
        assert run("INSERT INTO t VALUES (1), (2)") == "[{'n': 2}]\n"
        ballast = storage.fill()
        assert f"needs {NEEDED >> 20} MB" in run(
            "ALTER TABLE t MODIFY SETTING index_granularity_bytes = 1"
        )
        assert run("SELECT 1") == "[{'n': 2}]\n"
        ballast.unlink()
        assert run("ALTER TABLE t DROP PARTITION 1") == "[{'n': 1}]\n"


def test_a_disk_without_room_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("deodar.store.room.NEEDED", 1 << 60)
    with pytest.raises(StoreFull, match="changing a table needs"):
        check_room(tmp_path)
