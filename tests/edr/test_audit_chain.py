from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from deodar.edr import audit_chain
from deodar.edr.audit import Trail
from deodar.edr.database import Database, record, sqlite_url
from deodar.edr.tables import audit

OLD = Path(__file__).parent / "migrations" / "release_0001.sql"


def rows(database: Database):
    with database.read() as connection:
        return connection.execute(select(audit).order_by(audit.c.number)).all()


def put(database: Database, *subjects: str) -> None:
    for subject in subjects:
        with database.write() as connection:
            record(connection, "x", subject)


@pytest.mark.parametrize("name", audit_chain.COVERED)
def test_a_change_of_any_column_changes_the_hash(name):
    row = dict.fromkeys(audit_chain.COVERED, "x") | {"number": 1, "time_us": 2}
    other = row | {name: 9 if name in {"number", "time_us"} else "y"}
    assert audit_chain.next_hash(b"k", "0", row) != audit_chain.next_hash(b"k", "0", other)
    assert audit_chain.next_hash(b"k", "0", row) != audit_chain.next_hash(b"k", "1", row)
    assert audit_chain.next_hash(b"k", "0", row) != audit_chain.next_hash(b"l", "0", row)


def test_writers_at_once_get_numbers_without_a_gap(tmp_path):
    url = sqlite_url(tmp_path / "edr.db")
    opened = Database(url, b"key")

    def work() -> None:
        mine = Database(url, b"key")
        put(mine, *"0123456789")
        mine.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [row.number for row in rows(opened)] == list(range(1, 41))
    assert Trail(opened).verify().problem == ""
    opened.close()


def test_a_change_that_is_rolled_back_leaves_no_gap(database):
    with contextlib.suppress(ZeroDivisionError), database.write() as connection:
        record(connection, "x", "lost")
        raise ZeroDivisionError
    put(database, "kept")
    assert [(row.number, row.subject) for row in rows(database)] == [(1, "kept")]


def test_rows_of_an_older_release_are_taken_into_the_chain(tmp_path):
    with sqlite3.connect(tmp_path / "edr.db") as old:
        old.executescript(OLD.read_text())
        old.execute("DELETE FROM audit WHERE number = 2")  # gaps were possible then
    opened = Database(sqlite_url(tmp_path / "edr.db"), b"key")
    assert Trail(opened).verify().problem == ""
    put(opened, "new")
    verdict = Trail(opened).verify()
    assert (verdict.rows, verdict.problem) == (len(rows(opened)), "")
    assert verdict.rows > 3
    opened.close()


def test_the_oldest_rows_go_and_the_chain_tells_of_it(database, monkeypatch):
    monkeypatch.setattr(audit_chain, "KEPT", 10)
    monkeypatch.setattr(audit_chain, "_DROP_EVERY", 5)
    put(database, *map(str, range(50)))
    found = rows(database)
    assert len(found) <= 16
    assert found[0].number > 30
    told = [row for row in found if row.action == "audit drop"]
    assert told[-1].details.startswith(f"rows up to {found[0].number - 1} were dropped")
    assert Trail(database).verify().problem == ""
    with database.write() as connection:
        connection.execute(audit.delete().where(audit.c.number == found[0].number))
    assert "missing" in Trail(database).verify().problem


def test_the_key_is_not_the_secret_that_it_is_made_from():
    assert audit_chain.derive_key(b"a" * 32) not in {b"a" * 32, audit_chain.derive_key(b"b" * 32)}
