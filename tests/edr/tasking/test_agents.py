"""Tasking over real HTTPS, as an agent has it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.edr.conftest import running

from deodar.edr.settings import EdrSettings
from deodar.edr.settings import Tasking as Settings
from deodar.edr.tasking import FILES, Tasking
from deodar.response.isolation import ISOLATION, PREVENTION

if TYPE_CHECKING:
    from tests.edr.conftest import Server

LS = {"command": "ls"}


class Agent:
    """An enrolled agent, and the server's tasking as another process would have it."""

    def __init__(self, server: Server, agent_id: str, client: httpx.AsyncClient) -> None:
        self.server = server
        self.id = agent_id
        self.client = client
        directory = server.installation.directory.path
        self.tasking = Tasking(server.database, directory, "x", Settings())

    async def orders(self, since: int = 0, wait: float = 0) -> dict[str, Any]:
        answer = await self.client.get("/agent/v1/tasking", params={"since": since, "wait": wait})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def told(self, task: str, **result: Any) -> httpx.Response:
        return await self.client.post(f"/agent/v1/results/{task}", json=result)

    async def sent(self, task: str, data: bytes, **headers: Any) -> httpx.Response:
        known = {"Deodar-Offset": 0, "Deodar-Total": len(data), **headers}
        known.setdefault("Deodar-Sha256", hashlib.sha256(data).hexdigest())
        strings = {name: str(value) for name, value in known.items()}
        url = f"/agent/v1/results/{task}/file"
        return await self.client.post(url, content=data, headers=strings)

    def create(self, kind: str = "run_process", **parameters: Any) -> str:
        return self.tasking.tasks.create(self.id, kind, parameters or LS).id


@pytest.fixture
def settings() -> EdrSettings:
    tasking = Settings(wait=2.0)
    return EdrSettings(host="127.0.0.1", port=0, names=("127.0.0.1",), tasking=tasking)


@pytest.fixture
async def agent(server: Server) -> Agent:
    agent_id, pair = await server.agent()
    return Agent(server, agent_id, server.client(pair))


async def test_a_task_of_another_process_reaches_a_waiting_agent_in_under_a_second(agent):
    waiting = asyncio.create_task(agent.orders(wait=60))
    await asyncio.sleep(0.3)
    ordered = time.monotonic()
    task = await asyncio.to_thread(agent.create)
    orders = await waiting
    assert time.monotonic() - ordered < 1.0
    assert [order["id"] for order in orders["tasks"]] == [task]
    assert orders["tasks"][0]["parameters"]["command"] == "ls"
    assert agent.tasking.tasks.find(task).state == "delivered"


async def test_isolation_and_prevention_for_all_wake_the_agent(agent):
    waiting = asyncio.create_task(agent.orders(wait=60))
    await asyncio.sleep(0.3)
    agent.tasking.states.set(agent.id, ISOLATION, {"autoTurnoffTimeoutInSec": 3600})
    orders = await waiting
    assert [state["kind"] for state in orders["states"]] == [ISOLATION]
    waiting = asyncio.create_task(agent.orders(orders["number"], wait=60))
    await asyncio.sleep(0.3)
    agent.tasking.states.set("all", PREVENTION, {"objects": []})
    assert [state["kind"] for state in (await waiting)["states"]] == [PREVENTION]


async def test_the_wait_is_bounded_by_the_server(agent):
    began = time.monotonic()
    orders = await agent.orders(wait=60)
    assert 1.9 < time.monotonic() - began < 10
    assert (orders["tasks"], orders["states"]) == ([], [])
    began = time.monotonic()
    await agent.orders()
    assert time.monotonic() - began < 1


async def test_a_server_that_stops_lets_nobody_wait(installation, engine):
    async with running(installation, engine) as server:
        agent_id, pair = await server.agent()
        client = Agent(server, agent_id, server.client(pair))
        waiting = asyncio.create_task(client.orders(wait=60))
        await asyncio.sleep(0.3)
        server.stop.set()
        began = time.monotonic()
        assert (await waiting)["tasks"] == []
        assert time.monotonic() - began < 1.5  # and not the two seconds of the settings


async def test_who_is_revoked_while_he_waits_gets_nothing(agent):
    waiting = asyncio.create_task(
        agent.client.get("/agent/v1/tasking", params={"since": 0, "wait": 60})
    )
    await asyncio.sleep(0.3)
    task = agent.create()
    agent.server.endpoints.revoke(agent.id)
    answer = await waiting
    if answer.status_code == 200:  # the task was quicker than the revocation
        assert answer.json()["tasks"]
    else:
        assert answer.status_code == 403
        assert agent.tasking.tasks.find(task).state == "pending"
    again = await agent.client.get("/agent/v1/tasking")
    assert again.status_code == 403


async def test_without_an_enrolled_certificate_there_is_no_way_in(server):
    for client, status in ((server.client(None), 401), (server.system().client, 403)):
        for method, url in (
            ("GET", "/agent/v1/tasking"),
            ("POST", "/agent/v1/results/x"),
            ("POST", "/agent/v1/results/x/file"),
            ("POST", "/agent/v1/states"),
        ):
            assert (await client.request(method, url)).status_code == status


@pytest.mark.parametrize(
    "query",
    ["since=-1", "since=x", "since=" + "9" * 16, "wait=x", "wait=-1", "wait=inf", "wait=nan"],
)
async def test_bad_parameters_are_told(agent, query):
    answer = await agent.client.get(f"/agent/v1/tasking?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["error"]


async def test_results_are_kept_and_wrong_ones_refused(agent):
    task = agent.create()
    assert (await agent.told(task, state="running")).json() == {"id": task, "state": "running"}
    done = {"state": "done", "exit_code": 0, "output": "a\n"}
    assert (await agent.told(task, **done)).status_code == 200
    assert (await agent.told(task, **done)).status_code == 200
    assert agent.tasking.tasks.find(task).result["output"] == "a\n"
    assert (await agent.told(task, state="failed")).status_code == 409
    assert (await agent.told("unknown", **done)).status_code == 404
    assert (await agent.told(task, state="odd")).status_code == 400
    large = await agent.told(agent.create(), state="done", output="x" * (3 << 20))
    assert large.status_code == 413


async def test_a_task_that_the_agent_cannot_do_is_shown_as_such(agent):
    task = agent.create("kill_process", pid=9)
    reason = "kill_process is not supported by this agent version"
    await agent.told(task, state="failed", supported=False, reason=reason)
    found = agent.tasking.tasks.find(task)
    assert (found.state, found.reason, found.result["supported"]) == ("failed", reason, False)


async def test_a_file_comes_in_parts(agent):
    data = b"0123456789" * 1000
    task = agent.create("get_file", path="/etc/x")
    digest = hashlib.sha256(data).hexdigest()
    head = {"Deodar-Total": len(data), "Deodar-Sha256": digest}
    first = await agent.sent(task, data[:6000], **head)
    assert first.json() == {"have": 6000}
    wrong = await agent.sent(task, data[:10], **head, **{"Deodar-Offset": 5})
    assert (wrong.status_code, wrong.json()["have"]) == (409, 6000)
    last = await agent.sent(task, data[6000:], **head, **{"Deodar-Offset": 6000})
    assert last.json() == {"have": 10_000}
    folder = agent.server.installation.directory.path / FILES
    assert (folder / digest).read_bytes() == data


async def test_parts_that_are_not_taken(agent):
    task = agent.create("get_file", path="/etc/x", maximum_bytes=100)
    assert (await agent.sent(task, b"x" * 101)).status_code == 413
    assert (await agent.sent(task, b"x", **{"Deodar-Total": 1 << 40})).status_code == 413
    assert (await agent.sent(task, b"x", **{"Deodar-Sha256": "0" * 64})).status_code == 400
    assert (await agent.sent(task, b"x", **{"Deodar-Sha256": "0"})).status_code == 400
    assert (await agent.sent(task, b"x", **{"Deodar-Offset": -1})).status_code == 400
    assert (await agent.sent("unknown", b"x")).status_code == 404
    assert (await agent.sent(task, b"x" * (2 << 20))).status_code == 413


async def test_what_became_of_a_state_is_kept(agent):
    body = {"kind": ISOLATION, "number": 4, "outcome": "unsupported", "reason": "not here"}
    assert (await agent.client.post("/agent/v1/states", json=body)).status_code == 200
    (told,) = agent.tasking.states.applied(agent.id)
    assert (told.outcome, told.number) == ("unsupported", 4)
    body["kind"] = "other"
    assert (await agent.client.post("/agent/v1/states", json=body)).status_code == 400
    body["outcome"] = "odd"
    assert (await agent.client.post("/agent/v1/states", json=body)).status_code == 400
