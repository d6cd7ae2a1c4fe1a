from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.agent.journal.connection import connect
from deodar.agent.journal.database import Database
from deodar.agent.journal.errors import QueryError
from deodar.agent.journal.query import MAXIMUM_LENGTH, OPERATORS, parse
from deodar.agent.journal.record import FIELDS, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = {field.name: field for field in FIELDS}


@pytest.mark.parametrize(
    ("query", "meets"),
    [
        ("EventType == 'TaskStateChanged'", True),
        ("EventType == 'taskstatechanged'", False),  # values are exact
        ("eventtype=='TaskStateChanged'", True),  # names are not
        ("EventType != 'TaskStateChanged'", False),
        ("EventType like 'task%'", True),
        ("EventId > '9'", True),  # 10, as numbers
        ("EventId <= ' 10 '", True),
        ("TaskId == '24' and TaskName == 'KATAEDR'", True),
        ("TaskId == '24' AND TaskName LIKE 'x%'", False),
        ("taskstate == 'Started'", True),
        ("Absent == ''", True),
        ("Absent != 'x'", True),
        ("Absent like '_%'", False),
        ("FileName == 'it''s'", True),
        ("Date == '1790000000'", True),  # whole seconds, as shown
        ("Date > '1790000000'", False),
        ("Date >= '2026-09-01 00:00:00'\n and\tDate < '2026-10-01 00:00:00'", True),
        ("", True),
        ("  \n", True),
    ],
)
def test_queries(query: str, meets: bool, made: Callable[..., Record]) -> None:
    record = made(
        10,
        task_id=24,
        task_name="KATAEDR",
        details={"TaskState": "Started", "FileName": "it's"},
    )
    assert parse(query).matches(record) is meets


@pytest.mark.parametrize("zone", ["UTC", "Asia/Vladivostok", "America/St_Johns"])
def test_dates_are_local_time(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        record = Record(event_id=1, event_type="x", date=1_790_000_000.9)
        local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_790_000_000))
        assert parse(f"Date == '{local}'").matches(record)
        assert parse("Date == '1790000000'").matches(record)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("query", "column", "reason", "expected"),
    [
        ("EventType", 10, "ends here", "an operator"),
        ("EventType ==", 13, "ends here", "a value in single quotes"),
        ("EventType == ", 13, "ends here", "a value in single quotes"),
        ("EventType = 'x'", 11, "did not expect =", "an operator"),
        ("EventType === 'x'", 11, "did not expect ===", "an operator"),
        ("EventType in 'x'", 11, "did not expect in", "an operator"),
        ("EventType == Started", 14, "did not expect Started", "a value in single quotes"),
        ('EventType == "x"', 14, 'did not expect "x"', "a value in single quotes"),
        ("EventType == 'x", 14, "no closing '", "twice"),
        ("EventType == 'x' or TaskId == '1'", 18, "did not expect or", "and or the end"),
        ("EventType == 'x' and", 21, "ends here", "the name of a field"),
        ("EventType == 'x' 'y'", 18, "did not expect 'y'", "and or the end"),
        ("(EventType == 'x')", 1, "did not expect (EventType", "the name of a field"),
        ("== 'x'", 1, "did not expect ==", "the name of a field"),
        ("TaskId like '2%'", 8, "like is for texts, and TaskId is a number", "=="),
        ("Date like '2026%'", 6, "like is for texts, and Date is a date", "=="),
        ("TaskId == 'x'", 11, "TaskId is a number, and 'x' is none", "a whole number"),
        ("TaskId == '9223372036854775808'", 11, "is none", "64 bits"),
        ("TaskId == '٣'", 11, "is none", "a whole number"),
        ("Date > 'yesterday'", 8, "Date is a date", "YYYY-MM-DD hh:mm:ss"),
        ("Date > '2026-11-22'", 8, "is none", "seconds since 1970"),
        ("Date > '2026-02-30 00:00:00'", 8, "is none", "YYYY-MM-DD"),
        ("Date > '2026-02-01 24:00:00'", 8, "is none", "YYYY-MM-DD"),
        ("Date > '0000-00-00 00:00:00'", 8, "is none", "YYYY-MM-DD"),
        ("FileName == 'a\0'", 15, "U+0000", ""),
        ("FileName == '\ud800'", 14, "U+D800", ""),
        ("x" * 5000, MAXIMUM_LENGTH + 1, "longer than 4096 characters", ""),
    ],
)
def test_errors_say_where_and_what_was_expected(
    query: str, column: int, reason: str, expected: str
) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert caught.value.column == column
    assert reason in caught.value.reason
    assert expected in caught.value.expected
    assert f"column {column}" in str(caught.value)
    assert str(caught.value).endswith("^")
    assert caught.value.exit_code == 1


@given(st.text(max_size=200))
def test_any_text_is_a_query_or_a_clear_error(text: str) -> None:
    try:
        parse(text)
    except QueryError as error:
        assert 1 <= error.column <= len(text) + 1  # noqa: PT017


WORDS = st.sampled_from(
    ["", "a", "A", "ab", "Ünï", "é", "E", "10", "9", "-1", "10.5", "%", "_", "'", "\\", "x y"]
)
TEXTS = WORDS | st.text("abA%_'1é\n\\", max_size=6)
NUMBERS = st.integers(-3, 12) | st.sampled_from([2**63 - 1, -(2**63)])
RECORDS = st.builds(
    Record,
    event_id=st.integers(1, 12),
    event_type=TEXTS,
    date=st.integers(0, 8).map(lambda quarter: 1_790_000_000 + quarter / 4),
    danger_level=st.sampled_from(["Info", "Warning", "Critical"]),
    initiator=st.sampled_from(["Product", "User"]),
    task_id=NUMBERS,
    task_name=TEXTS,
    task_type=TEXTS,
    runtime_task_id=NUMBERS,
    details=st.dictionaries(st.sampled_from(["FileName", "Count", "taskState"]), TEXTS),
)


@st.composite
def conditions(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from([*NAMES, "filename", "COUNT", "TaskState", "Absent"]))
    kind = NAMES[name].kind if name in NAMES else "text"
    operators = OPERATORS if kind == "text" else OPERATORS[:-1]
    value = draw(TEXTS) if kind == "text" else str(draw(NUMBERS))
    if kind == "date":
        value = str(1_790_000_000 + draw(st.integers(-1, 3)))
    quoted = value.replace("'", "''")
    return f"{name} {draw(st.sampled_from(operators))} '{quoted}'"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database(tmp_path_factory.mktemp("query") / "events.db")
    yield opened
    opened.close()


@settings(max_examples=300, deadline=None)
@given(
    st.lists(RECORDS, max_size=8, unique_by=lambda record: record.event_id),
    st.lists(conditions(), max_size=3),
)
def test_the_store_selects_what_matches(
    database: Database, records: list[Record], said: list[str]
) -> None:
    database._connection.execute("DELETE FROM events")
    database.write(records, 1000)
    query = parse(" and ".join(said))
    found = database.window(1, 12, query, reverse=False).records
    assert found == sorted(filter(query.matches, records), key=lambda record: record.event_id)


def test_values_are_never_part_of_the_sql(tmp_path) -> None:
    query = parse("FileName == 'x''); DROP TABLE events; --' and EventType == '?'")
    text, parameters = query.to_sql()
    assert "DROP" not in text
    connection = connect(tmp_path / "events.db")
    assert connection.execute(f"SELECT * FROM events WHERE {text}", parameters).fetchall() == []
    connection.close()


def test_cheap_conditions_are_looked_at_first() -> None:
    text, parameters = parse("FileName like '%x%' and TaskId == '24'").to_sql()
    assert text == "task_id == ? AND detail_meets(details, ?, ?, ?)"
    assert parameters == [24, "filename", "like", "%x%"]
    assert sqlite3.sqlite_version_info >= (3, 22)
