from __future__ import annotations

import asyncio

from deodar.edr.tasking.tasks import Tasks


async def test_what_response_has_to_do_is_measured(server):
    agent_id, pair = await server.agent()
    Tasks(server.database).create(agent_id, "run_process", {"command": "ls"})

    async def told() -> str:
        return (await asyncio.to_thread(server.local.get, "/metrics")).decode()

    first = await told()
    assert 'deodar_edr_tasks{state="pending"} 1.0' in first
    assert 'deodar_edr_tasks{state="done"} 0.0' in first
    assert "deodar_edr_agents_waiting 0.0" in first
    assert "deodar_edr_scans_waiting 0.0" in first
    assert "deodar_edr_fetched_bytes 0.0" in first
    client = server.client(pair)
    orders = (await client.get("/agent/v1/tasking")).json()
    query = {"since": orders["number"], "wait": 10}
    waiting = asyncio.create_task(client.get("/agent/v1/tasking", params=query))
    for _ in range(200):
        if "deodar_edr_agents_waiting 1.0" in (text := await told()):
            break
        await asyncio.sleep(0.05)
    assert "deodar_edr_agents_waiting 1.0" in text
    Tasks(server.database).create(agent_id, "run_process", {"command": "ls"})
    assert (await waiting).json()["tasks"]
    assert 'deodar_edr_tasks{state="delivered"} 2.0' in await told()
