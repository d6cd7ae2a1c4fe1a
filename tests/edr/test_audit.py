from __future__ import annotations

import pytest
from sqlalchemy import text

from deodar.edr.audit import Trail, Wanted
from deodar.edr.audit_chain import Place
from deodar.edr.database import Database, record, sqlite_url
from deodar.kit.acting import Actor, acting


@pytest.fixture
def trail(database) -> Trail:
    for number in range(1, 7):
        who = Actor("operator" if number % 2 else "second", "192.0.2.1")
        with acting(who), database.write() as connection:
            action = "user add" if number < 4 else "policy set"
            record(connection, action, f"s{number}", "d", before="b", after="a")
    return Trail(database)


def numbers(trail: Trail, **wanted) -> list[int]:
    return [entry.number for entry in trail.list(Wanted(**wanted))]


def test_entries_come_newest_first_in_parts(trail):
    assert numbers(trail) == [6, 5, 4, 3, 2, 1]
    assert [entry.number for entry in trail.list(Wanted(), limit=2)] == [6, 5]
    assert [entry.number for entry in trail.list(Wanted(), before=5, limit=2)] == [4, 3]
    assert len(trail.list(Wanted(), before=2**62)) == 6
    first = trail.list(Wanted())[-1]
    assert (first.user, first.address, first.action) == ("operator", "192.0.2.1", "user add")
    assert (first.subject, first.details, first.before, first.after) == ("s1", "d", "b", "a")


def test_entries_can_be_chosen(trail):
    assert numbers(trail, user="operator") == [5, 3, 1]
    assert numbers(trail, action="policy") == [6, 5, 4]
    assert numbers(trail, action="%") == []
    assert numbers(trail, subject="s2") == [2]
    third = trail.list(Wanted(subject="s3"))[0].time_us
    assert numbers(trail, until_us=third + 1)[0] >= 3
    assert numbers(trail, since_us=third)[-1] <= 3
    assert numbers(trail, since_us=2**62) == []


def test_an_untouched_trail_is_good_and_says_where_it_ends(trail):
    verdict = trail.verify()
    assert (verdict.rows, verdict.number, verdict.problem) == (6, 6, "")
    assert verdict.hash == trail.list(Wanted())[0].hash


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE audit SET \"user\" = 'x' WHERE number = 3", "row 3 was changed"),
        ("UPDATE audit SET before = 'x' WHERE number = 1", "row 1 was changed"),
        ("DELETE FROM audit WHERE number = 4", "row 5 was changed"),
        ("DELETE FROM audit WHERE number = 1", "row 2 was changed"),
        ("DELETE FROM audit WHERE number = 6", "rows after 5 are missing"),
        ("DELETE FROM audit", "rows after 0 are missing"),
        ("UPDATE audit SET number = 60 WHERE number = 6", "row 60 was changed"),
        ("UPDATE audit SET hash = 'x' WHERE number = 2", "row 2 was changed"),
        ("DELETE FROM audit_chain", "head of the chain is missing"),
        ("UPDATE audit_chain SET hash = '', number = 0", "rows after 6"),
        (
            "INSERT INTO audit SELECT 7, 1, 'x', 'x', 'x', '', '', '', '', 'x'",
            "row 7 was changed",
        ),
    ],
)
def test_each_change_in_the_database_shows(trail, database, change, words):
    with database.write() as connection:
        connection.execute(text(change))
    assert words in trail.verify().problem


def test_an_end_that_was_cut_off_with_the_head_shows_against_a_note(trail, database):
    noted = Place(trail.verify().number, trail.verify().hash)
    earlier = trail.list(Wanted(subject="s4"))[0]
    with database.write() as connection:
        connection.execute(text("DELETE FROM audit WHERE number > 4"))
        connection.execute(text(f"UPDATE audit_chain SET number = 4, hash = '{earlier.hash}'"))
    assert trail.verify().problem == ""  # what a chain alone cannot see
    assert "noted earlier" in trail.verify(noted).problem
    assert trail.verify(Place(4, earlier.hash)).problem == ""
    assert "not the one" in trail.verify(Place(3, earlier.hash)).problem


def test_who_has_the_database_but_not_the_key_cannot_write_the_chain(tmp_path):
    url = sqlite_url(tmp_path / "edr.db")
    with_key, without = Database(url, b"key"), Database(url)
    with with_key.write() as connection:
        record(connection, "x", "y")
    assert Trail(with_key).verify().problem == ""
    with without.write() as connection:
        record(connection, "x", "forged")
    assert "row 2 was changed" in Trail(with_key).verify().problem
    with_key.close()
    without.close()


def test_a_long_trail_is_checked_in_parts(trail, monkeypatch):
    monkeypatch.setattr("deodar.edr.audit._CHUNK", 2)
    assert (trail.verify().rows, trail.verify().problem) == (6, "")
