"""A file in a table's place is refused, a table is not."""

from __future__ import annotations

import pytest

from deodar.store.errors import QueryError
from deodar.store.permissions import check_changing


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM `/etc/passwd`",
        'SELECT * FROM "\\x2fetc\\x2fpasswd"',
        "SELECT * FROM $$/etc/passwd$$",
        "SELECT * FROM default.`/etc/passwd`",
        "SELECT * FROM system.one, '/etc/passwd'",
        "SELECT * FROM system.one AS a JOIN '/etc/passwd' AS b ON 1",
        "SELECT * FROM (SELECT 1) AS a, '/etc/passwd'",
        "SELECT * FROM ('/etc/passwd')",
        "SELECT 1 IN `/etc/passwd`",
        "SELECT * FROM `pyproject.toml`",
        "SELECT * FROM `*.csv`",
        "SELECT * FROM {p:Identifier}",
        "INSERT INTO t SELECT * FROM '/etc/passwd'",
        "INSERT INTO '/tmp/x.csv' SELECT 1",
        "CREATE TABLE t ENGINE = Memory AS SELECT * FROM '/etc/passwd'",
    ],
)
def test_files_are_refused(
    sql: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(request.config.rootpath)
    with pytest.raises(QueryError, match="table's place"):
        check_changing(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '/a', lower('/b'), `Ioa.Rules.Name` FROM t WHERE x IN ('/a', '/b') LIMIT 1",
        "SELECT * FROM `my table`, db.`other` WHERE a = '/x'",
        "SELECT * FROM (SELECT '/a', '/b') WHERE path LIKE '/usr/%'",
        "SELECT x IN {p:Array(String)} FROM t",
        "INSERT INTO t (a, `b c`) SELECT 'x', '/y' FROM u",
    ],
)
def test_tables_are_taken(sql: str) -> None:
    assert check_changing(sql) == sql
