from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard
from structlog.testing import capture_logs

from deodar.edr.endpoint import Endpoint
from deodar.edr.enrolment import Endpoints, EnrolmentRequest, Host
from deodar.edr.errors import BadRequest, NotThisAgent
from deodar.edr.policies import Policies
from deodar.edr.synchronization import DEEPEST_STATUS, LARGEST_BODY, LARGEST_REPORT, Synchronization
from deodar.tls import certificates

from .conftest import deodar, read_token

if TYPE_CHECKING:
    import httpx

AUTHORITY = certificates.make_authority("edr")


class Agent:
    """An enrolled agent that synchronizes without a network in between."""

    def __init__(self, database) -> None:
        self.endpoints = Endpoints(database)
        self.policies = Policies(database)
        self._server = Synchronization(database, self.policies, "server-1")
        secret = read_token(self.endpoints.invite("u", "p", 60).token)["secret"]
        request = certificates.make_request("x")[0].decode()
        asked = EnrolmentRequest(secret, request, Host("web-1", "Debian", "6.1", "m1", "0.1"))
        self.id = self.endpoints.enroll(AUTHORITY, asked, "192.0.2.1").agent_id

    @property
    def endpoint(self) -> Endpoint:
        return self.endpoints.find(self.id)

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.endpoints.report(self.id))

    def send(self, body: bytes, address: str = "192.0.2.1") -> dict[str, Any]:
        answer = self._server.take(self.endpoint, body, address)
        return json.loads(msgspec.json.encode(answer))

    def sync(self, **more: Any) -> dict[str, Any]:
        return self.send(json.dumps({"agent_id": self.id, **more}).encode())


@pytest.fixture
def agent(database) -> Agent:
    return Agent(database)


def task(name: str = "Behavior_Detection", state: str = "Started", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, **more}


def test_a_report_is_kept_with_its_endpoint(agent):
    host = {"name": "web-9", "ip": "192.0.2.5", "mac": "02:00:00:00:00:01", "os_name": "Debian 13"}
    tasks = [task(id=20, type="BehaviorDetection", error="", since=1.5)]
    status = {"spool": {"events": 3}, "losses": [{"stage": "throttle", "events": 7}]}
    answer = agent.sync(
        host=host, version="0.2.0", time_us=5, policy_version=0, tasks=tasks, status=status
    )
    assert answer["server_id"] == "server-1"
    assert answer["time_us"] > 1_700_000_000_000_000
    assert (answer["policy_version"], answer["policy"]) == (0, None)
    endpoint = agent.endpoint
    assert (endpoint.name, endpoint.os_name, endpoint.agent_version) == (
        "web-9",
        "Debian 13",
        "0.2.0",
    )
    assert (endpoint.os_version, endpoint.machine_id) == ("6.1", "m1")  # not told: as before
    assert endpoint.synchronized_us == endpoint.last_contact_us > 0
    assert agent.report["status"] == status
    assert agent.report["tasks"] == tasks
    assert agent.report["host"]["mac"] == "02:00:00:00:00:01"


def test_the_last_report_replaces_the_one_before(agent):
    agent.sync(status={"a": 1})
    agent.sync(status={"b": 2}, policy_version=3)
    assert agent.report["status"] == {"b": 2}
    assert agent.endpoint.policy_version == 3


def test_the_policy_comes_only_when_the_agent_has_another_version(agent):
    agent.policies.set({"KATAEDR": {"RequestTimeout": 4}})
    answer = agent.sync(policy_version=0)
    assert answer["policy_version"] == 1
    assert answer["policy"] == {
        "version": 1,
        "name": "default",
        "settings": {"KATAEDR": {"RequestTimeout": 4.0}},
    }
    again = agent.sync(policy_version=1)
    assert (again["policy_version"], again["policy"]) == (1, None)
    agent.policies.clear()
    cleared = agent.sync(policy_version=1)
    assert (cleared["policy_version"], cleared["policy"]) == (0, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"status":{}}',
        b'{"agent_id":1}',
        b'{"agent_id":"ID","policy_version":-1}',
        b'{"agent_id":"ID","policy_version":"1"}',
        b'{"agent_id":"ID","tasks":[{"name":"x"}]}',
        b'{"agent_id":"ID","tasks":[' + b",".join([b'{"name":"x","state":"y"}'] * 65) + b"]}",
        b'{"agent_id":"ID","time_us":-1}',
        b'{"agent_id":"ID","time_us":9223372036854775808}',
        b'{"agent_id":"ID","status":[]}',
        b'{"agent_id":"ID","status":{"a":NaN}}',
        b'{"agent_id":"ID","status":{"a":"\\ud800"}}',
        b'{"agent_id":"ID","status":' + b'{"a":' * 50_000,
        b'{"agent_id":"ID","other":' + b"[" * 100_000,
    ],
)
def test_what_is_no_report_is_refused_and_changes_nothing(agent, body):
    with pytest.raises(BadRequest, match=r"^Bad Request: .") as caught:
        agent.send(body.replace(b"ID", agent.id.encode()))
    assert len(str(caught.value)) < 600
    assert agent.endpoint.synchronized_us == 0


def test_a_report_under_another_agents_id_is_refused(agent):
    with pytest.raises(NotThisAgent, match=agent.id):
        agent.send(b'{"agent_id":"other"}')
    assert agent.endpoints.report(agent.id) == ""


def test_of_a_large_report_the_status_is_left_out_first(agent):
    agent.sync(tasks=[task()], status={"x": "y" * LARGEST_REPORT})
    assert agent.report["left_out"] == ["status"]
    assert agent.report["status"] == {}
    assert len(agent.report["tasks"]) == 1
    agent.sync(tasks=[task("KATAEDR", "Stopped", error="e" * 2000)] * 60, status={"x": "y"})
    assert agent.report["left_out"] == ["status", "tasks"]
    assert agent.endpoint.stopped_tasks == "KATAEDR"  # what matters is noted all the same
    agent.sync(host={"name": "n" * 40_000})
    assert agent.endpoints.report(agent.id) == ""
    assert len(agent.endpoint.name) == 256


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


def test_a_status_that_is_nested_deeply_is_left_out(agent):
    agent.sync(status={"a": nested(DEEPEST_STATUS - 1)})
    assert agent.report["status"] == {"a": nested(DEEPEST_STATUS - 1)}
    assert agent.report["left_out"] == []
    for levels in (DEEPEST_STATUS, 900):
        agent.sync(status={"a": nested(levels)}, tasks=[task()])
        assert agent.report["status"] == {}
        assert agent.report["left_out"] == ["status"]
        assert len(agent.report["tasks"]) == 1


def test_what_was_left_out_is_the_servers_word(agent):
    agent.sync(left_out=["tasks"])
    assert agent.report["left_out"] == []


def test_texts_are_cut_and_have_no_nul(agent):
    agent.sync(host={"name": "a\0b" + "x" * 300, "os_name": "\0"}, version="v" * 99)
    endpoint = agent.endpoint
    assert endpoint.name.startswith("abx")
    assert (len(endpoint.name), endpoint.os_name, len(endpoint.agent_version)) == (
        256,
        "Debian",
        64,
    )


def test_a_stopped_task_is_logged_once_for_each_change(agent):
    def warned(*tasks: dict[str, Any]) -> list[tuple[str, str]]:
        with capture_logs() as lines:
            agent.sync(tasks=list(tasks), host={"name": "web-1"})
        return [(line["event"], line["tasks"]) for line in lines if line["log_level"] == "warning"]

    detection, uplink = "Behavior_Detection", "KATAEDR"
    stopped = "tasks_stopped_on_host"
    assert warned(task(detection), task(uplink)) == []
    assert warned(task(detection, "Stopped"), task(uplink)) == [(stopped, detection)]
    assert agent.endpoint.stopped_tasks == detection
    assert warned(task(detection, "Stopped"), task(uplink)) == []
    assert warned(task(detection, "Stopped"), task(uplink, "Stopping")) == [
        (stopped, f"{detection}, {uplink}")
    ]
    assert warned(task(detection), task(uplink)) == [
        ("tasks_started_again", f"{detection}, {uplink}")
    ]
    assert warned(task(detection), task("KATAEDR_Prevention", "Stopped")) == []


def test_the_log_names_host_agent_and_reason(agent):
    with capture_logs() as lines:
        agent.sync(
            host={"name": "web-1"}, tasks=[task(state="Stopped", error="no sensor can be used")]
        )
    (line,) = (line for line in lines if line["event"] == "tasks_stopped_on_host")
    assert (line["agent_id"], line["host"]) == (agent.id, "web-1")
    assert line["reason"] == "no sensor can be used"


class TestOverHttps:
    """The same with a server in a process of its own."""

    @pytest.fixture
    async def client(self, remote):
        agent_id, pair = await remote.agent()
        client = remote.client(pair)
        client.agent_id = agent_id
        return client

    @staticmethod
    async def sync(client, **more: Any) -> httpx.Response:
        body = {"agent_id": client.agent_id, **more}
        return await client.post("/agent/v1/sync", json=body)

    async def test_what_an_agent_tells_is_shown_to_the_administrator(self, remote, client):
        headers = {"Content-Encoding": "zstd", "User-Agent": "deodar-agent/9.9.9"}
        report = {
            "agent_id": client.agent_id,
            "host": {"name": "web-9"},
            "time_us": 1,
            "version": "0.2.0",
            "tasks": [task("KATAEDR", "Stopped", error="by an administrator")],
        }
        body = zstandard.compress(json.dumps(report).encode())
        answer = await client.post("/agent/v1/sync", content=body, headers=headers)
        assert answer.status_code == 200
        told = answer.json()
        assert told.pop("time_us") > 1_700_000_000_000_000
        assert told == {
            "server_id": remote.installation.server_id,
            "policy_version": 0,
            "policy": None,
        }
        folder = remote.installation.directory.path
        shown = await asyncio.to_thread(
            deodar, "endpoints", "show", client.agent_id, "--dir", folder, "--json"
        )
        page = json.loads(shown)
        assert page["endpoint"]["name"] == "web-9"
        assert page["endpoint"]["agent_version"] == "0.2.0"
        assert page["endpoint"]["address"] == "127.0.0.1"
        assert page["endpoint"]["stopped_tasks"] == "KATAEDR"
        assert page["report"]["tasks"][0]["error"] == "by an administrator"

    async def test_a_stopped_task_is_in_the_servers_log(self, shared_process, client):
        await self.sync(client, tasks=[task("KATAEDR", "Stopped")])
        lines = [line for line in shared_process.log.splitlines() if client.agent_id in line]
        assert any("tasks_stopped_on_host" in line for line in lines)

    async def test_the_policy_comes_with_the_first_request_after_it_was_set(
        self, remote, client, tmp_path
    ):
        file = tmp_path / "policy.ini"
        file.write_text("[KATAEDR]\nRequestTimeout=4\n")
        folder = remote.installation.directory.path
        assert (await self.sync(client, policy_version=0)).json()["policy"] is None
        made = json.loads(
            await asyncio.to_thread(deodar, "policy", "set", file, "--dir", folder, "--json")
        )
        told = (await self.sync(client, policy_version=0)).json()
        assert told["policy_version"] == told["policy"]["version"] == made["version"]
        assert told["policy"]["settings"] == {"KATAEDR": {"RequestTimeout": 4.0}}
        again = (await self.sync(client, policy_version=made["version"])).json()
        assert (again["policy_version"], again["policy"]) == (made["version"], None)
        await asyncio.to_thread(Policies(remote.database).clear)
        cleared = (await self.sync(client, policy_version=made["version"])).json()
        assert (cleared["policy_version"], cleared["policy"]) == (0, None)

    async def test_under_another_agents_id_nothing_is_taken(self, remote, client):
        other, _ = await remote.agent()
        answer = await client.post("/agent/v1/sync", json={"agent_id": other})
        assert answer.status_code == 403
        assert client.agent_id in answer.json()["error"]
        assert remote.endpoints.report(other) == ""
        assert remote.endpoints.report(client.agent_id) == ""

    async def test_a_revoked_agent_is_refused_and_its_report_not_kept(self, remote, client):
        await asyncio.to_thread(remote.endpoints.revoke, client.agent_id)
        answer = await self.sync(client, host={"name": "later"})
        assert answer.status_code == 403
        assert answer.json() == {"error": "Forbidden: this endpoint was revoked"}
        assert remote.endpoints.find(client.agent_id).name == "h"

    async def test_without_a_certificate_there_is_no_answer_to_a_report(self, remote, client):
        stranger = remote.client(None)
        stranger.agent_id = client.agent_id
        assert (await self.sync(stranger)).status_code == 401

    @pytest.mark.parametrize(
        ("body", "encoding", "status"),
        [
            (b"", "identity", 400),
            (b"{", "identity", 400),
            (b"[1]", "identity", 400),
            (b'{"agent_id":"\xff"}', "identity", 400),
            (b'{"agent_id":' + b"[" * 100_000, "identity", 400),
            (b"no gzip", "gzip", 400),
            (b"{}", "br", 400),
            (b" " * (LARGEST_BODY + 1), "identity", 413),
            (gzip.compress(b" " * (LARGEST_BODY + 1)), "gzip", 413),
            (zstandard.compress(b" " * 50_000_000), "zstd", 413),
        ],
        ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else str(value),
    )
    async def test_what_is_no_report_is_refused(self, remote, client, body, encoding, status):
        headers = {"Content-Encoding": encoding}
        answer = await client.post("/agent/v1/sync", content=body, headers=headers)
        assert answer.status_code == status
        assert answer.json()["error"].startswith("Bad Request: ")
        assert remote.endpoints.find(client.agent_id).synchronized_us == 0
        assert (await self.sync(client)).status_code == 200

    async def test_the_largest_report_is_taken(self, client):
        room = LARGEST_BODY - 200
        answer = await self.sync(client, status={"a": "x" * room})
        assert answer.status_code == 200
