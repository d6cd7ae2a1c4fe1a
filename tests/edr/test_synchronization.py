from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from deodar.edr.enrolment import Endpoint, Endpoints, EnrolmentRequest, Host
from deodar.edr.errors import BadRequest, NotThisAgent
from deodar.edr.policies import Policies
from deodar.edr.synchronization import LARGEST_REPORT, Synchronization
from deodar.tls import certificates

from .conftest import read_token

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
