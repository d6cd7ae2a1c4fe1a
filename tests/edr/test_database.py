from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from deodar.edr.database import Database, now_us, record, sqlite_url
from deodar.edr.enrolment import Endpoints
from deodar.edr.errors import ControlDataError, NotStorable
from deodar.edr.external_systems import Register
from deodar.edr.policies import Policies
from deodar.edr.settings import ExternalSystems
from deodar.edr.tables import audit

OLD = Path(__file__).parent / "migrations" / "release_0001.sql"


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


@pytest.mark.sqlite
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


@pytest.mark.sqlite
def test_a_value_that_cannot_be_kept_is_the_callers_mistake(database):
    with pytest.raises(NotStorable, match="too big"), database.read() as connection:
        connection.execute(text("SELECT zeroblob(2000000000)"))


def test_what_changed_is_kept_within_a_bound(database):
    with database.write() as connection:
        record(connection, "a", "b", before="x" * 100_000, after="y")
    with database.read() as connection:
        row = connection.execute(select(audit)).one()
    assert (len(row.before), row.before[-1], row.after) == (16_385, "…", "y")


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


def made_by_release_0001(path: Path) -> None:
    """Make the database that the first release had made of two enrolments and a system."""
    old = sqlite3.connect(path)
    old.executescript(OLD.read_text())
    old.close()


def test_a_database_of_the_first_release_is_brought_up_to_date_and_keeps_all(tmp_path):
    made_by_release_0001(tmp_path / "edr.db")
    opened = Database(sqlite_url(tmp_path / "edr.db"))
    try:
        first, second = Endpoints(opened).list()
        assert (first.name, first.state, first.address) == ("web-1", "enrolled", "192.0.2.8")
        assert (second.name, second.state) == ("web-2", "revoked")
        assert (first.synchronized_us, first.policy_version, first.stopped_tasks) == (0, 0, "")
        assert Endpoints(opened).report(first.agent_id) == ""
        (system,) = Register(opened, ExternalSystems()).list()
        assert (system.id, system.state, system.name) == ("siem-1", "accepted", "The SIEM")
        assert count(opened) == 7
        policies = Policies(opened)
        assert (policies.current(), policies.history()) == (None, [])
        assert policies.set({"KATAEDR": {"RequestTimeout": 5}}).version == 1
    finally:
        opened.close()


def test_many_can_bring_an_old_database_up_to_date_at_once(tmp_path):
    made_by_release_0001(tmp_path / "edr.db")
    errors: list[Exception] = []

    def work() -> None:
        try:
            Database(sqlite_url(tmp_path / "edr.db")).close()
        except ControlDataError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


def test_a_migration_that_fails_leaves_the_old_database_as_it_was(tmp_path):
    made_by_release_0001(tmp_path / "edr.db")
    with sqlite3.connect(tmp_path / "edr.db") as old:  # so that the migration's last step fails
        old.execute("ALTER TABLE endpoints ADD COLUMN report TEXT")
    with pytest.raises(ControlDataError, match="report"):
        Database(sqlite_url(tmp_path / "edr.db"))
    with sqlite3.connect(tmp_path / "edr.db") as after:
        names = {row[0] for row in after.execute("SELECT name FROM sqlite_master")}
        columns = {row[1] for row in after.execute("PRAGMA table_info(endpoints)")}
        assert after.execute("SELECT * FROM deodar_edr_version").fetchall() == [("0001",)]
    assert "policies" not in names
    assert "synchronized_us" not in columns


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
