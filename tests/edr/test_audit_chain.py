from __future__ import annotations

import contextlib
import threading

import pytest
from sqlalchemy import select

from deodar.edr import audit_chain
from deodar.edr.database import Database, record, sqlite_url
from deodar.edr.tables import audit


def rows(database: Database):
    with database.read() as connection:
        return connection.execute(select(audit).order_by(audit.c.number)).all()


def chained(found, key: bytes) -> bool:
    digest = audit_chain.first_hash()
    for row in found:
        digest = audit_chain.next_hash(key, digest, row._mapping)
        if digest != row.hash:
            return False
    return True


def test_each_row_is_chained_to_the_one_before(database):
    for subject in "abc":
        with database.write() as connection:
            record(connection, "x", subject)
    found = rows(database)
    assert [row.number for row in found] == [1, 2, 3]
    assert chained(found, b"")
    assert not chained([found[0], found[2]], b"")
    assert not chained(found, b"another key")


@pytest.mark.parametrize("name", audit_chain.COVERED)
def test_a_change_of_any_column_changes_the_hash(name):
    row = dict.fromkeys(audit_chain.COVERED, "x") | {"number": 1, "time_us": 2}
    other = row | {name: 9 if name in {"number", "time_us"} else "y"}
    first = audit_chain.first_hash()
    assert audit_chain.next_hash(b"k", first, row) != audit_chain.next_hash(b"k", first, other)
    assert audit_chain.next_hash(b"k", "0", row) != audit_chain.next_hash(b"k", first, row)


def test_writers_at_once_get_numbers_without_a_gap(tmp_path):
    url = sqlite_url(tmp_path / "edr.db")
    opened = Database(url, b"key")

    def work() -> None:
        mine = Database(url, b"key")
        for _ in range(10):
            with mine.write() as connection:
                record(connection, "x", "y")
        mine.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = rows(opened)
    opened.close()
    assert [row.number for row in found] == list(range(1, 41))
    assert chained(found, b"key")


def test_a_change_that_is_rolled_back_leaves_no_gap(database):
    with contextlib.suppress(ZeroDivisionError), database.write() as connection:
        record(connection, "x", "lost")
        raise ZeroDivisionError
    with database.write() as connection:
        record(connection, "x", "kept")
    assert [(row.number, row.subject) for row in rows(database)] == [(1, "kept")]


def test_rows_of_an_older_release_are_taken_into_the_chain(database):
    with database.write() as connection:
        for number in (3, 7):
            row = {"number": number, "time_us": 1, "user": "u", "action": "a", "subject": "s"}
            connection.execute(audit.insert().values(**row))
    with database.write() as connection:
        record(connection, "x", "new")
    found = rows(database)
    assert [row.number for row in found] == [3, 7, 8]
    assert chained(found, b"")


def test_the_key_is_not_the_secret_that_it_is_made_from():
    assert audit_chain.derive_key(b"a" * 32) not in {b"a" * 32, audit_chain.derive_key(b"b" * 32)}
