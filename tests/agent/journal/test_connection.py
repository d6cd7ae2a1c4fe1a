from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import msgspec
import pytest

from deodar.agent.journal.connection import (
    APPLICATION_ID,
    Foreign,
    connect,
    connect_to_read,
    is_damage,
    set_aside,
    told,
)
from deodar.agent.journal.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    connection = connect(path)
    connection.execute("INSERT INTO events VALUES (1,'x',0,'Info','Product',0,'','',0,'{}')")
    modes = {found.name: found.stat().st_mode & 0o777 for found in tmp_path.iterdir()}
    assert modes == {"events.db": 0o600, "events.db-wal": 0o600, "events.db-shm": 0o600}
    assert pragma(connection, "application_id") == APPLICATION_ID
    connection.close()
    assert [found.name for found in tmp_path.iterdir()] == ["events.db"]


def test_the_write_ahead_log_stays_small(tmp_path: Path) -> None:
    connection = connect(tmp_path / "events.db")
    for number in range(3000):
        connection.execute(
            "INSERT INTO events VALUES (?,'x',0,'Info','Product',0,'','',0,?)",
            (number, "x" * 300),
        )
    assert (tmp_path / "events.db-wal").stat().st_size < 1_000_000
    connection.close()


def test_another_program_s_database_and_a_later_format_are_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (a)")
    other.close()
    later = connect(tmp_path / "later.db")
    later.execute("PRAGMA user_version = 9")
    later.close()
    for opened in (connect, connect_to_read):
        with pytest.raises(Foreign, match="none of an agent's events"):
            opened(tmp_path / "other.db")
        with pytest.raises(Foreign, match="later version"):
            opened(tmp_path / "later.db")


def test_damage_is_told_from_a_disk_in_trouble(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        connect(path)
    assert is_damage(caught.value)
    assert is_damage(msgspec.DecodeError("cut"))
    with pytest.raises(sqlite3.OperationalError) as caught:
        connect_to_read(tmp_path / "absent.db")
    assert not is_damage(caught.value)
    assert not is_damage(OSError(28, "No space left on device"))


def test_a_damaged_file_is_moved_with_nothing_left_of_its_log(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    for name in ("events.db", "events.db-wal", "events.db-shm", "events.db.set-aside"):
        (tmp_path / name).write_text(name)
    assert set_aside(path) == tmp_path / "events.db.set-aside"
    assert [found.name for found in tmp_path.iterdir()] == ["events.db.set-aside"]
    assert (tmp_path / "events.db.set-aside").read_text() == "events.db"


def test_errors_for_people_name_the_file(tmp_path: Path) -> None:
    error = told(Foreign("it is none"), tmp_path / "events.db")
    assert isinstance(error, JournalError)
    assert error.exit_code == 65
    assert (
        str(error) == f"the file {tmp_path}/events.db holds no events that can be read: it is none"
    )
    assert "cannot read the events in" in str(told(OSError("gone"), tmp_path))


def test_a_path_with_odd_characters_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%20 d.db"
    connect(path).close()
    connection = connect_to_read(path)
    assert pragma(connection, "application_id") == APPLICATION_ID
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM events")
    connection.close()
