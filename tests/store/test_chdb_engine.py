"""The embedded engine: the contract, and what only it can get wrong."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.store.contract import EngineContract, table

from deodar.store.chdb_engine import ChdbEngine
from deodar.store.engine import Limits
from deodar.store.errors import QueryError, StoreBusy, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["table"]

# Fails only after rows were put out: the library leaves those in the connection's buffer.
HALFWAY = "SELECT number, repeat('leaked', 20), throwIf(number > 60000) FROM numbers(100000)"


@pytest.fixture
def engine(deodar_store_engine: ChdbEngine) -> ChdbEngine:
    return deodar_store_engine


class TestContract(EngineContract):
    pass


@pytest.mark.parametrize("format_name", ["JSONCompactEachRow", "CSV", "ArrowStream"])
def test_no_row_of_a_failed_query_is_in_the_next_result(
    engine: ChdbEngine, format_name: str
) -> None:
    limits = Limits(settings={"max_block_size": 1000})
    for _ in range(60):
        with pytest.raises(QueryError, match="throwIf"):
            engine.raw(HALFWAY, format_name, limits=limits)
        assert engine.raw("SELECT 'clean'", "CSV") == b'"clean"\n'
        assert engine.query("SELECT 'clean' AS a").to_pylist() == [{"a": "clean"}]


def test_the_leak_is_real_without_the_cure(engine: ChdbEngine) -> None:
    """If this ever fails, chDB was mended, and the cure may go."""
    import chdb

    leaks = 0
    connection = chdb.connect(str(engine.folder))
    connection.query("SET max_block_size = 1000")
    for _ in range(20):
        with pytest.raises(RuntimeError):
            connection.query(HALFWAY, "JSONCompactEachRow")
        leaks += connection.query("SELECT 'clean'", "CSV").bytes() != b'"clean"\n'
    connection.close()
    assert leaks > 0


def test_a_second_engine_of_this_process_names_the_first(
    engine: ChdbEngine, tmp_path: Path
) -> None:
    with pytest.raises(StoreBusy, match=str(engine.folder)):
        ChdbEngine(tmp_path)


@pytest.mark.parametrize(
    "url", ["chdb://", "chdb:///", "chdb://relative/folder", "chdb:///a?mode=ro"]
)
def test_urls_of_another_form_are_refused(url: str) -> None:
    with pytest.raises(StoreError, match="chdb:///"):
        ChdbEngine.from_url(url)


def test_two_connections_run_side_by_side(engine: ChdbEngine) -> None:
    slow = threading.Thread(target=lambda: engine.query("SELECT sleep(1.5)"))
    slow.start()
    for _ in range(5):
        engine.query("SELECT 1")
    was_alive = slow.is_alive()
    slow.join(20)
    assert was_alive


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, since it needs a folder of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_life_of_a_folder(tmp_path: Path) -> None:
    """One process: open, be held, close while a query runs, open another folder."""
    done = run(
        """
        import os, subprocess, sys, threading, time
        from deodar.store.chdb_engine import ChdbEngine
        from deodar.store.errors import StoreBusy, StoreUnavailable

        first, second = sys.argv[1:]
        engine = ChdbEngine.from_url(f"chdb://{first}")
        other = subprocess.run(
            [sys.executable, "-c",
             "import sys; from deodar.store.ownership import Ownership; from pathlib import Path\\n"
             "Ownership.take(Path(sys.argv[1]))", first],
            capture_output=True, text=True)
        assert f"is held by process {os.getpid()}" in other.stderr, other.stderr

        results = []
        slow = threading.Thread(target=lambda: results.append(engine.query("SELECT sleep(1)")))
        slow.start()
        while engine.running == 0:
            time.sleep(0.01)
        engine.close()
        assert engine.running == 0
        slow.join()
        assert len(results) == 1
        engine.close()
        try:
            engine.query("SELECT 1")
        except StoreUnavailable as error:
            assert "closed" in str(error)
        else:
            raise AssertionError("a closed engine answered")

        another = ChdbEngine.from_url(f"chdb://{second}")
        assert another.query("SELECT 1 AS n").to_pylist() == [{"n": 1}]
        another.close()
        print("passed")
        """,
        str(tmp_path / "first"),
        str(tmp_path / "with space"),
    )
    assert done.stdout == "passed\n", done.stderr


WRITER = """
import sys
import pyarrow as pa
from deodar.store.engine import open_engine

engine = open_engine(sys.argv[1])
engine.command(
    "CREATE TABLE IF NOT EXISTS t (i Int64, batch Int64) ENGINE = MergeTree ORDER BY i SETTINGS "
    "non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1"
)
print("open", engine.query("SELECT count() AS n FROM t")["n"][0].as_py(), flush=True)
for number in range(int(sys.argv[2])):
    batch = pa.table({"i": list(range(5000)), "batch": [number] * 5000})
    engine.insert("t", batch, deduplication_token=f"batch {number}")
    print(number, flush=True)
per_batch = engine.query("SELECT batch, count() AS n FROM t GROUP BY batch ORDER BY batch")
print("end", set(per_batch["n"].to_pylist()), per_batch.num_rows)
engine.close()
"""


def test_batches_are_stored_once_whatever_is_killed(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path / 'store'}"
    for acknowledged in (3, 9):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, url, "1000"], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            stored = writer.stdout.readline().split()
            assert stored[0] == "open"
            for _ in range(acknowledged):
                assert writer.stdout.readline()
            writer.kill()
    done = run(WRITER, url, "20")
    lines = done.stdout.splitlines()
    assert int(lines[0].split()[1]) >= 9 * 5000, done.stderr
    assert lines[-1].startswith("end {5000} "), done.stderr


def test_calls_beyond_the_limit_wait_for_their_turn(engine: ChdbEngine) -> None:
    results: list[pa.Table] = []
    threads = [
        threading.Thread(target=lambda: results.append(engine.query("SELECT sleep(0.05)")))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 40
    assert engine.running == 0


def test_unavailable_is_a_store_error() -> None:
    assert issubclass(StoreUnavailable, StoreError)
