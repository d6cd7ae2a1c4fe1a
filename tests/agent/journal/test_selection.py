from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deodar.agent.journal.database import WINDOW, Database
from deodar.agent.journal.errors import JournalError
from deodar.agent.journal.query import parse
from deodar.agent.journal.selection import ReadOnlyStore
from deodar.agent.journal.store import EventStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deodar.agent.journal.record import Record

COUNT = WINDOW * 2 + 7
ODD = parse("Count like '%1'")


@pytest.fixture
def file(tmp_path: Path, made: Callable[..., Record]) -> Path:
    database = Database(tmp_path / "events.db")
    database.write([made(n, details={"Count": str(n)}) for n in range(1, COUNT + 1)], 10**6)
    database.close()
    return tmp_path / "events.db"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("last", [None, 0, 1, 3, 150, 10_000])
@pytest.mark.parametrize("query", ["", "Count like '%1'", "Count == 'none'"])
def test_selections(file: Path, query: str, last: int | None, reverse: bool) -> None:
    store = ReadOnlyStore(file)
    found = [r.event_id for r in store.select(parse(query), last, reverse=reverse)]
    store.close()
    fits = {"": lambda n: True, "Count like '%1'": lambda n: n % 10 == 1}
    expected = [n for n in range(1, COUNT + 1) if fits.get(query, lambda n: False)(n)]
    expected = expected if last is None else expected[len(expected) - min(last, len(expected)) :]
    assert found == (expected[::-1] if reverse else expected)


def test_the_store_and_the_reader_of_its_file_select_the_same(file: Path) -> None:
    store, reader = EventStore(file), ReadOnlyStore(file)
    assert list(store.select(ODD, 30)) == list(reader.select(ODD, 30))
    store.close()
    reader.close()


def test_what_an_agent_that_was_killed_left_in_its_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    program = f"""
import os, pathlib, signal
from deodar.agent.journal.store import EventStore
store = EventStore(pathlib.Path({str(path)!r}))
for number in range(5):
    store.add("TaskStateChanged", Number=number)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    reader = ReadOnlyStore(path)
    assert [r.details["Number"] for r in reader.select(parse(""))] == list("01234")
    reader.close()


@pytest.mark.root
def test_a_file_on_a_medium_that_takes_no_writes_is_read(file: Path, tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    medium.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", medium], check=True)
    try:
        shutil.copy(file, medium)
        subprocess.run(["mount", "-o", "remount,ro", medium], check=True)
        reader = ReadOnlyStore(medium / "events.db")
        assert [r.event_id for r in reader.select(parse(""), 2)] == [COUNT - 1, COUNT]
        reader.close()
    finally:
        subprocess.run(["umount", medium], check=True)


def test_no_file_another_file_and_a_damaged_one_are_clear_errors(
    file: Path, tmp_path: Path
) -> None:
    with pytest.raises(JournalError, match=r"absent\.db is not there"):
        ReadOnlyStore(tmp_path / "absent.db")
    (tmp_path / "text.db").write_text("EventType=x\n" * 1000)
    with pytest.raises(JournalError, match="holds no events that can be read"):
        ReadOnlyStore(tmp_path / "text.db")
    data = bytearray(file.read_bytes())
    data[8192:] = bytes(len(data) - 8192)
    file.write_bytes(data)
    with pytest.raises(JournalError, match="holds no events that can be read"):
        list(ReadOnlyStore(file).select(parse("")))
