from __future__ import annotations

import contextlib

import pytest
import zstandard
from sqlalchemy import select

from deodar.edr.backup import control_data
from deodar.edr.database import HEAD, Database, record, sqlite_url
from deodar.edr.errors import BackupError, ControlDataError
from deodar.edr.tables import audit, filters, metadata


def rows(database) -> dict[str, list]:
    with database.read() as connection:
        return {
            name: sorted(map(tuple, connection.execute(select(table))))
            for name, table in metadata.tables.items()
        }


@pytest.fixture
def filled(database):
    with database.write() as connection:
        for n in range(2500):
            row = {"system": "s", "digest": f"{n:032}", "text": "ä\n'", "used_us": 2**60 + n}
            connection.execute(filters.insert().values(**row))
        record(connection, "one", "thing", "details")
        record(connection, "two", "things")
    return database


def test_every_row_comes_again(filled, tmp_path):
    url = sqlite_url(tmp_path / "other.db")
    control_data.load(url, HEAD, control_data.dump(filled))
    with contextlib.closing(Database(url)) as restored:
        assert rows(restored) == rows(filled)
        with restored.write() as connection:  # numbers go on
            record(connection, "three", "things")
            numbers = connection.execute(select(audit.c.number)).scalars().all()
        assert len(set(numbers)) == len(numbers) == 3


def test_rows_come_in_pieces(filled):
    names = [name for name, _ in control_data.dump(filled)]
    assert [name for name in names if name.startswith("filters")] == [
        f"filters.{n:06}" for n in range(3)
    ]


def test_the_rows_fit_one_another_though_others_write(filled, tmp_path):
    pieces = control_data.dump(filled)
    first = next(pieces)
    with filled.write() as connection:
        connection.execute(filters.delete())
    url = sqlite_url(tmp_path / "other.db")
    control_data.load(url, HEAD, [first, *pieces])
    with contextlib.closing(Database(url)) as restored:
        assert len(rows(restored)["filters"]) == 2500


@pytest.mark.sqlite
def test_a_database_with_tables_is_refused(filled, tmp_path):
    with pytest.raises(ControlDataError, match="must be empty"):
        control_data.load(sqlite_url(tmp_path / "edr.db"), HEAD, [])
    assert len(rows(filled)["filters"]) == 2500


def test_an_older_revision_is_brought_up_to_date(tmp_path):
    url = sqlite_url(tmp_path / "old.db")
    control_data.load(url, "0001", [])
    with contextlib.closing(Database(url)) as database:
        rows(database)


def test_an_unknown_revision_is_told(tmp_path):
    with pytest.raises(ControlDataError, match="another release"):
        control_data.load(sqlite_url(tmp_path / "new.db"), "9999", [])


STRANGE = b"\x83\xa5table\xa1x\xa7columns\x90\xa4rows\x90"  # no such table


@pytest.mark.parametrize(
    "packed", [b"junk", zstandard.compress(b"junk"), zstandard.compress(STRANGE)]
)
def test_damaged_rows_are_told(tmp_path, packed):
    with pytest.raises(BackupError, match=r"control/x\.1"):
        control_data.load(sqlite_url(tmp_path / "x.db"), HEAD, [("x.1", packed)])


def test_rows_go_from_one_kind_of_database_to_the_other_and_back(filled, postgresql, tmp_path):
    there, back = postgresql.empty(), sqlite_url(tmp_path / "back.db")
    control_data.load(there, HEAD, control_data.dump(filled))
    with contextlib.closing(Database(there)) as elsewhere:
        assert rows(elsewhere) == rows(filled)
        with elsewhere.write() as connection:  # numbers go on
            record(connection, "three", "things")
        control_data.load(back, HEAD, control_data.dump(elsewhere))
        with contextlib.closing(Database(back)) as restored:
            assert rows(restored) == rows(elsewhere)
