"""One statement or several; formats; INSERTs and their rows."""

from __future__ import annotations

import pytest

from deodar.store.errors import QueryError
from deodar.store.statements import (
    Insert,
    is_insert,
    output_format,
    single,
    split_insert,
    without_sync,
)


def test_a_statement_loses_comments_and_its_end() -> None:
    assert single(" SELECT 1/* ; */ + 2 -- ;\n ; ;") == "SELECT 1 + 2"
    assert single("SELECT a.b,'--'") == "SELECT a.b,'--'"


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "", " ; ", "-- nothing"])
def test_several_or_none_are_refused(sql: str) -> None:
    with pytest.raises(QueryError):
        single(sql)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT 1", None),
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("SELECT 1 format CSV;", "CSV"),
        ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "JSON"),
        ("SELECT * FROM (SELECT 1 FORMAT CSV) x", None),
        ("SELECT format FROM t", None),
        ("SELECT 'x FORMAT CSV'", None),
        ("SELECT a FORMAT, b FROM t", None),
    ],
)
def test_output_format(sql: str, name: str | None) -> None:
    assert output_format(sql) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,;'", Insert("INSERT INTO t", "CSV", b"1,;'")),
        (b"insert into `format` format CSV \r\n\n1", Insert("insert into `format`", "CSV", b"\n1")),
        (b"INSERT INTO t FORMAT Native\n\0\xff'", Insert("INSERT INTO t", "Native", b"\0\xff'")),
        (b"INSERT INTO t VALUES ('FORMAT')", Insert("INSERT INTO t", "Values", b" ('FORMAT')")),
        ("INSERT INTO `ü` FORMAT CSV\n".encode(), Insert("INSERT INTO `ü`", "CSV", b"")),
        (b"INSERT INTO t SELECT 1 FORMAT CSV", None),
        (b"INSERT INTO t (a)", None),
    ],
)  # fmt: skip
def test_rows_are_told_from_the_insert(text: bytes, expected: Insert | None) -> None:
    assert split_insert(text) == expected
    assert is_insert(text)


def test_an_insert_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(QueryError, match="UTF-8"):
        split_insert(b"INSERT INTO `\xff` FORMAT CSV\n")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DROP TABLE t SYNC", "DROP TABLE t"),
        ("DROP TABLE t NO DELAY", "DROP TABLE t"),
        ("drop table sync sync", "drop table sync"),
        ("SELECT 1 AS sync", "SELECT 1 AS sync"),
        ("DROP TABLE t", "DROP TABLE t"),
    ],
)
def test_without_sync(sql: str, expected: str) -> None:
    assert without_sync(sql) == expected
