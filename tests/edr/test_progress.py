from __future__ import annotations

import asyncio
import json

import pytest

from deodar.edr.errors import ControlDataError
from deodar.edr.external_system import Caller
from deodar.edr.external_systems import Register
from deodar.edr.progress import Progress, Standing, without_log
from deodar.edr.settings import ExternalSystems
from deodar.tls import certificates

from .conftest import deodar, make_older, self_made, until


@pytest.fixture
def caller() -> Caller:
    return Caller("siem", "10.0.0.1", certificates.der(self_made().certificate))


@pytest.fixture
def register(database, caller) -> Register:
    made = Register(database, ExternalSystems())
    made.authorise(caller)
    made.accept("siem")
    return made


async def test_what_was_fetched_is_written_at_the_latest_at_the_end(database, register, caller):
    progress = Progress(database)
    async with progress.written():
        progress.note(caller, 10, 4)
        progress.note(caller, 12, 2)
    (row,) = register.list()
    assert (row.last_seq, row.fetched_events) == (12, 6)
    assert row.last_fetch_us > 0


async def test_what_cannot_be_written_is_kept(database, register, caller, monkeypatch):
    progress = Progress(database)
    progress.note(caller, 10, 4)

    def fail(_fetched: object) -> None:
        progress.note(caller, 11, 1)
        raise ControlDataError("away")

    monkeypatch.setattr(progress, "_put", fail)
    await progress.write()
    monkeypatch.undo()
    await progress.write()
    (row,) = register.list()
    assert (row.last_seq, row.fetched_events) == (11, 5)


async def test_a_system_accepted_from_another_address_is_noted(database, register, caller):
    progress = Progress(database)
    progress.note(Caller("siem", "10.9.9.9", caller.certificate), 5, 5)
    await progress.write()
    assert [row.last_seq for row in register.list()] == [5]


def test_without_a_log_nothing_is_known_of_the_distance(register):
    (row,) = without_log(register.list())
    assert (row.id, row.behind_events, row.behind_seconds) == ("siem", None, None)


async def standing(server) -> Standing:
    import msgspec

    told = await asyncio.to_thread(server.local.get, "/external-systems")
    (row,) = msgspec.json.decode(told, type=list[Standing])
    return row


async def test_the_running_server_tells_how_far_behind_a_system_is(server, engine):
    await server.put([{"EventType": "process", "Id": f"{n}"} for n in range(5)])
    system = await server.system().accepted()
    assert (await standing(server)).behind_events is None  # it never fetched
    assert (await system.get(max_events=2)).status_code == 200
    hour = 3600
    make_older(engine, hour * 1_000_000)

    async def fetched() -> int:
        return (await standing(server)).last_fetch_us

    await until(fetched)
    told = await standing(server)
    assert (told.last_seq, told.fetched_events, told.behind_events) == (2, 2, 3)
    assert hour <= told.behind_seconds < hour + 60
    folder = server.installation.directory.path
    printed = await asyncio.to_thread(deodar, "external-systems", "list", "--dir", folder, "--json")
    assert json.loads(printed)["behind_events"] == 3
    metrics = (await asyncio.to_thread(server.local.get, "/metrics")).decode()
    labels = 'address="127.0.0.1",id="siem-1",name=""'
    assert f"deodar_edr_behind_events{{{labels}}} 3.0" in metrics
    assert f"deodar_edr_fetched_events_total{{{labels}}} 2.0" in metrics
    assert f"deodar_edr_behind_seconds{{{labels}}} 36" in metrics
    assert (await system.get()).status_code == 200

    async def up_to_date() -> bool:
        return (await standing(server)).behind_events == 0

    await until(up_to_date)
    assert (await standing(server)).behind_seconds == 0
