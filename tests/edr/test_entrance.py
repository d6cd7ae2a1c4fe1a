from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from deodar.edr.tables import audit

SENSORS = "/kata/response_api/v1/siem-1/sensors"


@pytest.fixture
async def system(server):
    return await server.system().accepted()


async def test_parameters_may_stand_behind_an_ampersand(server, system):
    agent_id, _ = await server.agent()
    for tail in (f"?sensor_id={agent_id}", f"&sensor_id={agent_id}", f"&sensor_id={agent_id}&"):
        answer = await system.client.get(SENSORS + tail)
        assert [one["sensorId"] for one in answer.json()["sensors"]] == [agent_id]
    assert (await system.client.get(SENSORS + "&sensor_id=x")).status_code == 404


@pytest.mark.parametrize(
    ("tail", "status"),
    [
        ("/sensors?host=%ff", 400),
        ("/sen%ffsors", 400),
        ("/sensors?" + "&".join(f"a{n}=1" for n in range(40)), 400),
        ("/" + "/".join("abcdefghi"), 404),
        ("", 404),
        ("/", 404),
        ("/sensors/", 404),
    ],
)
async def test_odd_addresses_are_refused(system, tail, status):
    answer = await system.client.get("/kata/response_api/v1/siem-1" + tail)
    assert answer.status_code == status
    assert answer.json()["error"]


async def test_who_is_let_in_is_decided_as_for_events(server):
    without = server.system("siem-1", None)
    assert (await without.client.get(SENSORS)).status_code == 401
    pending = server.system("siem-1", 1)
    assert (await pending.client.get(SENSORS)).json() == {"error": "Unauthorized"}
    assert [one.id for one in server.register.list("pending")] == ["siem-1"]
    other = SENSORS.replace("siem-1", "siem-2")
    assert (await pending.client.get(other)).status_code == 409
    assert (await pending.client.get(SENSORS.replace("siem-1", "a%20b"))).status_code == 400


async def test_what_a_system_does_is_done_in_its_name(server, system):
    agent_id, _ = await server.agent()
    answer = await system.client.post(
        f"/kata/response_api/v1/siem-1/settings?sensor_id={agent_id}&settings_type=prevention",
        json={"settings": {"objects": []}},
    )
    assert answer.status_code == 200
    with server.database.read() as connection:
        row = connection.execute(select(audit).where(audit.c.action == "prevention set")).one()
    assert (row.user, row.address) == ("external system siem-1", "127.0.0.1")


async def test_a_body_that_is_too_large_is_refused(server, system):
    agent_id, _ = await server.agent()
    url = f"/kata/response_api/v1/siem-1/settings?sensor_id={agent_id}&settings_type=prevention"
    answer = await system.client.post(url, content=b" " * (5 << 20))
    assert answer.status_code == 413


async def test_a_database_that_is_away_is_503(server, system, monkeypatch):
    from deodar.edr.errors import ControlDataError
    from deodar.edr.external_systems import Register

    def fail(*_: object) -> None:
        raise ControlDataError("away")

    monkeypatch.setattr(Register, "authorise", fail)
    answer = await asyncio.wait_for(system.client.get(SENSORS), 20)
    assert answer.status_code == 503
