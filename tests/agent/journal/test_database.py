from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from deodar.agent.journal import database as module
from deodar.agent.journal.database import WINDOW, Database
from deodar.agent.journal.query import parse
from deodar.agent.journal.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EVERYTHING = parse("")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "events.db")
    yield opened
    opened.close()


def numbers(database: Database) -> list[int]:
    rows = database._connection.execute("SELECT event_id FROM events ORDER BY event_id")
    return [number for (number,) in rows]


def test_what_was_written_is_read(database: Database, made: Callable[..., Record]) -> None:
    record = made(
        1,
        danger_level="Critical",
        initiator="User",
        task_id=24,
        task_name="KATAEDR",
        task_type="KATAEDR",
        runtime_task_id=5,
        details={"FileName": "/srv/ä\n", "Empty": ""},
    )
    database.write([record], 10)
    assert database.window(1, 1, EVERYTHING, reverse=False).records == [record]


def test_a_record_is_replaced_by_one_of_its_number(
    database: Database, made: Callable[..., Record]
) -> None:
    database.write([made(1), made(2)], 10)
    database.write([made(1, details={"RepeatCount": "2"})], 10)
    found = database.window(1, 2, EVERYTHING, reverse=False).records
    assert found == [made(1, details={"RepeatCount": "2"}), made(2)]


def test_never_more_than_the_limit_and_the_oldest_go(
    database: Database, made: Callable[..., Record]
) -> None:
    for number in range(1, 400):
        database.write([made(number)], 200)
        assert len(numbers(database)) <= 200
    assert numbers(database)[-1] == 399
    assert numbers(database)[0] == database.first
    assert len(numbers(database)) >= 198


def test_a_record_that_had_to_go_does_not_come_back(
    database: Database, made: Callable[..., Record]
) -> None:
    for number in range(1, 6):
        database.write([made(number)], 2)
    database.write([made(1, details={"RepeatCount": "9"})], 2)
    assert numbers(database) == [4, 5]


def test_at_least_one_is_kept(database: Database, made: Callable[..., Record]) -> None:
    database.write([made(1), made(2)], 10)
    database.keep(0)
    assert numbers(database) == [2]


def test_the_numbers_go_on_in_the_same_file(tmp_path: Path, made: Callable[..., Record]) -> None:
    first = Database(tmp_path / "events.db")
    first.write([made(n) for n in range(1, 8)], 5)
    ends = first.first, first.last
    first.close()
    again = Database(tmp_path / "events.db")
    assert (again.first, again.last) == ends == (3, 7)
    again.close()


def test_windows_are_bounded_and_step_over_gaps(
    database: Database, made: Callable[..., Record]
) -> None:
    count = WINDOW + 10
    database.write([made(n * 1000) for n in range(1, count + 1)], 10**9)
    up = database.window(1, count * 1000, EVERYTHING, reverse=False)
    assert (len(up.records), up.edge) == (WINDOW, WINDOW * 1000)
    rest = database.window(up.edge + 1, count * 1000, EVERYTHING, reverse=False)
    assert (len(rest.records), rest.edge) == (10, count * 1000)
    down = database.window(1, count * 1000, EVERYTHING, reverse=True)
    assert (len(down.records), down.edge) == (WINDOW, 11_000)
    assert down.records[0].event_id == count * 1000


def test_lowering_the_limit_gives_the_space_back(
    tmp_path: Path, database: Database, made: Callable[..., Record]
) -> None:
    for block in range(20):
        first = block * 1000
        rows = [made(first + n, details={"Text": "x" * 500}) for n in range(1, 1001)]
        database.write(rows, 10**6)
    size = (tmp_path / "events.db").stat().st_size
    database.keep(100)
    database.shrink()
    assert len(numbers(database)) == 100
    assert (tmp_path / "events.db").stat().st_size < size / 20


def test_the_file_is_bounded_in_bytes_too(
    tmp_path: Path,
    database: Database,
    made: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAXIMUM_BYTES", 2_000_000)
    for block in range(40):
        first = block * 1000
        rows = [made(first + n, details={"Text": "x" * 300}) for n in range(1, 1001)]
        database.write(rows, 10**6)
    assert (tmp_path / "events.db").stat().st_size < 3_500_000
    assert numbers(database)[-1] == 40_000


def test_damaged_details_are_an_error_that_says_so(
    database: Database, made: Callable[..., Record]
) -> None:
    database.write([made(1)], 10)
    database._connection.execute("UPDATE events SET details = '{cut'")
    with pytest.raises(msgspec.DecodeError):
        database.window(1, 1, EVERYTHING, reverse=False)
