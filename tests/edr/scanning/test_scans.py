from __future__ import annotations

import pytest
from sqlalchemy import update

from deodar.edr.errors import TooManyRequests
from deodar.edr.scanning import scans as module
from deodar.edr.scanning.scans import NewScan, Scans
from deodar.edr.tables_response import scans as table


def new(scan_id: str = "a", system: str = "siem", instance: str = "i") -> NewScan:
    return NewScan(system, instance, scan_id, "f.bin", 3, "0" * 64)


@pytest.fixture
def scans(database) -> Scans:
    return Scans(database)


def finish(scans: Scans, database, number: int, state: str = "detect") -> bool:
    with database.write() as connection:
        return scans.finish(connection, number, state)


def test_a_request_gets_its_result_once(scans, database):
    number = scans.add(new())
    assert scans.unfinished() == [number]
    assert finish(scans, database, number)
    assert not finish(scans, database, number, "error")
    kept = scans.find(number)
    assert kept is not None
    assert (kept.state, kept.ended_us >= kept.created_us) == ("detect", True)
    assert scans.unfinished() == []


def test_requests_are_listed_by_instance_and_state(scans, database):
    first = scans.add(new("a"))
    scans.add(new("b", instance="j"))
    scans.add(new("c", system="other"))
    finish(scans, database, first)
    assert [s.scan_id for s in scans.of("siem", None, [])] == ["a", "b"]
    assert [s.scan_id for s in scans.of("siem", "j", [])] == ["b"]
    assert [s.scan_id for s in scans.of("siem", None, ["detect"])] == ["a"]


def test_what_was_deleted_gets_no_result(scans, database):
    number = scans.add(new())
    assert scans.remove("other", None, "a") == 0
    assert scans.remove("siem", None, "a") == 1
    assert not finish(scans, database, number)
    scans.add(new("a"))
    scans.add(new("b"))
    assert scans.remove("siem", "i", None) == 2


def test_an_id_that_comes_again_takes_the_place_of_the_one_before(scans):
    first = scans.add(new())
    second = scans.add(new())
    assert scans.find(first) is None
    assert [s.number for s in scans.of("siem", None, [])] == [second]


def test_how_many_may_wait_and_how_many_are_kept(scans, database, monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    for scan_id in "abc":
        finish(scans, database, scans.add(new(scan_id)))
    assert [s.scan_id for s in scans.of("siem", None, [])] == ["b", "c"]
    monkeypatch.setattr(module, "MOST_WAITING", 1)
    scans.add(new("d"))
    with pytest.raises(TooManyRequests) as caught:
        scans.add(new("e", system="other"))
    assert caught.value.retry_after == 60


def test_time_ends_results_and_requests_that_nobody_works_on(scans, database):
    old, lost, fresh = (scans.add(new(scan_id)) for scan_id in "abc")
    finish(scans, database, old)
    with database.write() as connection:
        for number, column in ((old, "ended_us"), (lost, "created_us")):
            row = update(table).where(table.c.number == number)
            connection.execute(row.values(**{column: 1}))
    assert scans.forget() == 2
    assert scans.find(old) is None
    found = scans.find(lost)
    assert found is not None
    assert found.state == "error"
    assert scans.unfinished() == [fresh]
