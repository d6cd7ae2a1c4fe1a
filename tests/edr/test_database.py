from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select, text

from deodar.edr.database import Database, now_us, record, sqlite_url
from deodar.edr.errors import ControlDataError
from deodar.edr.tables import audit


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(audit)).scalar_one())


def test_opening_again_changes_nothing(tmp_path):
    for expected in (1, 2, 3):
        opened = Database(sqlite_url(tmp_path / "edr.db"))
        with opened.write() as connection:
            record(connection, "a", "b", user="me")
        assert count(opened) == expected
        opened.close()


def test_sqlite_writes_durably_and_lets_others_read(database):
    with database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() >= 1000


def test_a_transaction_that_fails_leaves_nothing(database):
    def fail() -> None:
        with database.write() as connection:
            record(connection, "a", "b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert count(database) == 0


def test_an_audit_row_tells_when_who_and_what(database):
    before = now_us()
    with database.write() as connection:
        record(connection, "external-system accept", "siem", "from 1.2.3.4")
    with database.read() as connection:
        row = connection.execute(select(audit)).one()
    assert before <= row.time_us <= now_us()
    assert row.user.startswith("uid ")
    assert (row.action, row.subject, row.details) == (
        "external-system accept",
        "siem",
        "from 1.2.3.4",
    )


def test_many_can_open_and_write_at_once(tmp_path):
    url = sqlite_url(tmp_path / "edr.db")
    errors: list[Exception] = []

    def work() -> None:
        try:
            opened = Database(url)
            for _ in range(5):
                with opened.write() as connection:
                    record(connection, "a", "b")
            opened.close()
        except ControlDataError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    last = Database(url)
    assert count(last) == 40
    last.close()


def test_a_database_of_a_newer_release_is_refused(tmp_path):
    url = sqlite_url(tmp_path / "edr.db")
    opened = Database(url)
    with opened.write() as connection:
        connection.execute(text("UPDATE deodar_edr_version SET version_num = '9999'"))
    opened.close()
    with pytest.raises(ControlDataError, match="another release"):
        Database(url)


@pytest.mark.parametrize("url", ["nonsense", "sqlite+pysqlite:////no/such/folder/edr.db"])
def test_a_database_that_cannot_be_opened_is_told(url):
    with pytest.raises(ControlDataError):
        Database(url)


def test_a_password_in_the_url_is_not_shown():
    with pytest.raises(ControlDataError) as caught:
        Database("postgresql+nodriver://user:hidden@host/db")
    assert "hidden" not in str(caught.value)


def test_the_file_is_its_owners_alone(tmp_path):
    Database(sqlite_url(tmp_path / "edr.db")).close()
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
