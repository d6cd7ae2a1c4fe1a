"""What the conformance suite does not show: a real agent's side of it, and methods."""

from __future__ import annotations

import pytest


@pytest.fixture
async def system(server):
    return await server.system().accepted()


async def test_a_program_that_a_system_orders_reaches_the_agent(server, system):
    agent_id, pair = await server.agent()
    agent = server.client(pair)
    body = {"task": {"schedule": {"startNow": True}, "execCommand": "ls"}}
    url = "/kata/response_api/v1/siem-1/tasks/t-1"
    made = await system.client.post(f"{url}?sensor_id={agent_id}&task_type=run_process", json=body)
    assert made.json()["state"] == "pending"
    (order,) = (await agent.get("/agent/v1/tasking")).json()["tasks"]
    assert (order["id"], order["parameters"]["command"]) == ("t-1", "ls")
    assert (await system.client.get(url)).json()["state"] == "delivered"
    await agent.post("/agent/v1/results/t-1", json={"state": "running", "started_us": 1_000_000})
    told = (await system.client.get(url)).json()
    assert (told["state"], told["latestStartDateTime"]) == ("running", "1970-01-01T00:00:01.000Z")


async def test_a_revoked_host_is_no_host(server, system):
    agent_id, _ = await server.agent()
    server.endpoints.revoke(agent_id)
    found = await system.client.get("/kata/response_api/v1/siem-1/sensors")
    assert found.json()["sensors"] == []


async def test_tasks_of_other_kinds_are_not_shown(server, system):
    from deodar.edr.tasking.tasks import Tasks

    agent_id, _ = await server.agent()
    made = Tasks(server.database).create(agent_id, "get_file", {"path": "/etc/passwd"})
    for method in ("GET", "DELETE"):
        url = f"/kata/response_api/v1/siem-1/tasks/{made.id}"
        assert (await system.client.request(method, url)).status_code == 404


async def test_other_methods(system):
    for method, tail in (("POST", "sensors"), ("PUT", "sensors"), ("PATCH", "settings")):
        url = f"/kata/response_api/v1/siem-1/{tail}"
        assert (await system.client.request(method, url)).status_code == 405
