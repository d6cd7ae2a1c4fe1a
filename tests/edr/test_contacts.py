from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event, insert

from deodar.edr.contacts import Contacts
from deodar.edr.enrolment import Endpoints
from deodar.edr.tables import endpoints


@pytest.fixture
def fleet(database):
    rows = [
        {"agent_id": f"a{n}", "digest": f"d{n}", "state": "enrolled", "enrolled_us": n}
        for n in range(3)
    ]
    with database.write() as connection:
        connection.execute(insert(endpoints), rows)
    return Endpoints(database)


def seen(fleet) -> list[int]:
    return [endpoint.last_contact_us for endpoint in fleet.list()]


def test_the_newest_contact_of_each_is_written_at_once_for_all(fleet, database):
    contacts = Contacts(database)
    begun = []
    event.listen(database._engine, "begin", lambda _: begun.append(1))
    contacts.add("a0", 1, "10.0.0.1", "1.0")
    contacts.add("a0", 2, "10.0.0.2", "1.1")
    contacts.add("a2", 3, "10.0.0.3", "1.0")
    assert contacts.write() == 2
    assert len(begun) == 1
    assert seen(fleet) == [2, 0, 3]
    first = fleet.list()[0]
    assert (first.address, first.agent_version) == ("10.0.0.2", "1.1")
    del begun[1:]
    assert contacts.write() == 0
    assert len(begun) == 1


def test_a_database_that_is_away_loses_none(fleet, database):
    contacts = Contacts(database)
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE endpoints RENAME TO away")
    contacts.add("a0", 1, "", "")
    contacts.add("a1", 1, "", "")
    assert contacts.write() == 0
    contacts.add("a1", 2, "", "")
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO endpoints")
    assert contacts.write() == 2
    assert seen(fleet) == [1, 2, 0]


async def test_they_are_written_while_it_lasts_and_at_the_end(fleet, database, monkeypatch):
    monkeypatch.setattr("deodar.edr.contacts.EVERY", 0.01)
    contacts = Contacts(database)
    async with contacts.written():
        contacts.add("a0", 7, "", "")
        for _ in range(500):
            if seen(fleet)[0] == 7:
                break
            await asyncio.sleep(0.01)
        assert seen(fleet)[0] == 7
        monkeypatch.setattr("deodar.edr.contacts.EVERY", 1000)
        await asyncio.sleep(0.1)
        contacts.add("a1", 8, "", "")
    assert seen(fleet)[1] == 8
