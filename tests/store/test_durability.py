from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from deodar.store.durability import TableFolders
from deodar.store.errors import StoreUnavailable

SAFE = "ENGINE = MergeTree ORDER BY n SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
INSERT = """
import os, sys, pyarrow as pa
from deodar.store.engine import open_engine
store = open_engine("chdb://" + sys.argv[1])
store.command("CREATE TABLE t (n Int64) " + sys.argv[2])
for n in (1, 2):
    store.insert("t", pa.table({"n": [n]}))
    os.write(2, b"inserted %d" % n)
store.close()
"""


@pytest.fixture
def synced(monkeypatch) -> list[str]:
    found: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        found.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


@pytest.fixture
def table(deodar_store_engine, table_name):
    deodar_store_engine.command(f"CREATE TABLE {table_name} (n Int64) {SAFE}")
    yield table_name
    deodar_store_engine.command(f"DROP TABLE IF EXISTS {table_name}")


def path_of(engine, table: str) -> str:
    query = f"SELECT data_paths[1] AS path FROM system.tables WHERE name = '{table}'"
    return str(Path(engine.query(query)["path"][0].as_py()).resolve())


def rows(n: int) -> pa.Table:
    return pa.table({"n": [n]})


def test_each_insert_syncs_the_tables_folder(deodar_store_engine, table, synced):
    deodar_store_engine.insert(table, rows(1))  # the first syncs the whole file system
    deodar_store_engine.insert(table, rows(2))
    deodar_store_engine.insert(table, rows(3))
    assert synced == [path_of(deodar_store_engine, table)] * 2


def test_a_table_that_was_made_anew_has_another_folder(deodar_store_engine, table, synced):
    deodar_store_engine.insert(table, rows(1))
    deodar_store_engine.command(f"DROP TABLE {table} SYNC")
    deodar_store_engine.command(f"CREATE TABLE {table} (n Int64) {SAFE}")
    deodar_store_engine.insert(table, rows(2))
    deodar_store_engine.insert(table, rows(3))
    assert synced[-1] == path_of(deodar_store_engine, table)


def test_a_table_that_does_not_ask_for_it_is_left_alone(deodar_store_engine, table_name, synced):
    deodar_store_engine.command(
        f"CREATE TABLE {table_name} (n Int64) ENGINE = MergeTree ORDER BY n"
    )
    for n in (1, 2):
        deodar_store_engine.insert(table_name, rows(n))
    assert synced == []


def test_a_disk_that_refuses_is_told(deodar_store_engine, table, monkeypatch):
    deodar_store_engine.insert(table, rows(1))

    def fsync(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreUnavailable, match=r"cannot be synced: Input/output error"):
        deodar_store_engine.insert(table, rows(2))


def test_a_store_that_is_gone_is_told(tmp_path):
    def paths(*_arguments):
        return pa.table({"safe": [True]})

    with pytest.raises(StoreUnavailable, match="cannot be synced"):
        TableFolders(paths, tmp_path / "gone").sync("t")


def test_the_kernel_sees_the_folders_synced_before_the_insert_returns(tmp_path):
    """By the process's system calls: the rename of a part, then a sync of the folder around it."""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-s", "300", "-o", trace]
    command += ["-e", "trace=rename,fsync,fdatasync,syncfs,write"]
    program = [sys.executable, "-c", INSERT, tmp_path / "store", SAFE]
    subprocess.run([*map(str, command), *map(str, program)], check=True, timeout=60)
    lines = trace.read_text().splitlines()

    def at(after: int, *texts: str) -> int:
        found = (n for n, line in enumerate(lines) if n > after and all(t in line for t in texts))
        return next(found)

    first = at(-1, "write(2", "inserted 1")
    assert at(-1, "syncfs(") < first
    renamed = at(first, 'rename("', "all_2_2_0")
    folder = lines[renamed].split('"')[1].rpartition("/tmp_insert")[0]
    assert renamed < at(renamed, "fsync(", f"<{folder}>") < at(first, "write(2", "inserted 2")
