"""KATA's response API, asked by plain requests."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from deodar.demo.stack import attempts
from deodar.edr.enrolment import Endpoints
from deodar.edr.tasking.states import States
from deodar.edr.tasking.tasks import Tasks
from deodar.response.wire import Result

if TYPE_CHECKING:
    from tests.conformance.script import Answer, Script

RULES = [
    {
        "direction": "inbound",
        "protocol": 6,
        "remoteIpv4Address": "192.0.2.7",
        "localPortRange": {"fromPort": 22, "toPort": 22},
    },
    {
        "direction": "outbound",
        "protocol": 17,
        "remoteIpv4Address": "192.0.2.8",
        "remotePortRange": {"fromPort": 53, "toPort": 53},
    },
    {"remoteIpv6Address": "2001:db8::9"},
]
RUN = {"task": {"schedule": {"startNow": True}, "execCommand": "/bin/ls"}}


class Response:
    """A script that responds, with the server's side of it."""

    def __init__(self, kata: Any) -> None:
        self.kata = kata
        self.script: Script = kata.accepted()
        (self.endpoint,) = Endpoints(kata.database).list()
        self.sensor = self.endpoint.agent_id
        self.states = States(kata.database)
        self.tasks = Tasks(kata.database)

    def ask(self, method: str, tail: str, body: Any = None, **given: Any) -> Answer:
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in given.items())
        path = f"/kata/response_api/v1/{self.script.id}/{tail}"
        data = None if body is None else json.dumps(body).encode()
        return self.script.send(f"{path}?{query}" if query else path, method, {}, data)

    def isolate(self, settings: Any, **given: Any) -> Answer:
        known = {"sensor_id": self.sensor, "settings_type": "network_isolation", **given}
        return self.ask("POST", "settings", {"settings": settings}, **known)

    def prevent(self, method: str, body: Any = None, **given: Any) -> Answer:
        known = {"sensor_id": self.sensor, "settings_type": "prevention", **given}
        return self.ask(method, "settings", body, **known)

    def run(self, body: Any = None, task: str = "", **given: Any) -> tuple[str, Answer]:
        task = task or str(uuid.uuid4())
        known = {"sensor_id": self.sensor, "task_type": "run_process", **given}
        return task, self.ask("POST", f"tasks/{task}", RUN if body is None else body, **known)


@pytest.fixture(scope="module")
def response(kata) -> Response:
    return Response(kata)


@pytest.mark.row("4.3", "GET sensors: the server's version and the hosts")
def test_sensors(response):
    told = response.ask("GET", "sensors").json
    assert told["version"]
    (sensor,) = [one for one in told["sensors"] if one["sensorId"] == response.sensor]
    assert {"hostIp", "host", "version", "lastAccessTimestamp"} <= set(sensor)


@pytest.mark.row("4.3", "sensors are filtered by ip, host (case matters) and sensor_id together")
def test_sensors_are_filtered(response):
    (endpoint,) = Endpoints(response.kata.database).list()
    found = response.ask("GET", "sensors", sensor_id=response.sensor, ip=endpoint.address)
    assert [one["sensorId"] for one in found.json["sensors"]] == [response.sensor]
    assert response.ask("GET", "sensors", sensor_id=response.sensor, ip="192.0.2.1").status == 404
    with response.kata.database.write() as connection:
        connection.exec_driver_sql("UPDATE endpoints SET name = 'Web-1'")
    assert response.ask("GET", "sensors", host="Web-1").status == 200
    assert response.ask("GET", "sensors", host="web-1").status == 404


@pytest.mark.row("4.3", "GET settings: the isolation of a host, also when there is none")
@pytest.mark.row("4.3", "POST settings isolates at once, with exclusions and a timer")
@pytest.mark.row("4.3", "DELETE settings ends the isolation")
def test_isolation(response):
    given = {"sensor_id": response.sensor, "settings_type": "network_isolation"}
    none = response.ask("GET", "settings", **given)
    assert (none.status, none.json["state"]) == (200, "absent")
    made = response.isolate({"excludedRules": RULES, "autoTurnoffTimeoutInSec": 7200})
    assert made.status == 200
    told = response.ask("GET", "settings", **given).json
    assert told["settings"] == {"excludedRules": RULES, "autoTurnoffTimeoutInSec": 7200}
    assert told["state"] == "active"
    wanted = response.states.get(response.sensor, "network_isolation")
    assert wanted.user == f"external system {response.script.id}"
    assert response.ask("DELETE", "settings", **given).status == 200
    assert response.ask("GET", "settings", **given).json["state"] == "absent"
    assert response.ask("DELETE", "settings", **given).status == 200


@pytest.mark.row("4.3", "the timer goes from 1 to 9,999 hours, in seconds")
def test_the_limits_of_the_timer(response):
    for seconds, status in ((3600, 200), (9999 * 3600, 200), (3599, 400), (9999 * 3600 + 1, 400)):
        assert response.isolate({"autoTurnoffTimeoutInSec": seconds}).status == status
    for seconds in (0, -1, "7200", 7200.5, None):
        if seconds is not None:
            assert response.isolate({"autoTurnoffTimeoutInSec": seconds}).status == 400
    assert response.isolate({}).status == 200


@pytest.mark.row("4.3", "when its time is over isolation is inactive, but its rule stays")
def test_when_the_time_is_over(response):
    response.isolate({"autoTurnoffTimeoutInSec": 3600})
    with response.kata.database.write() as connection:
        connection.exec_driver_sql("UPDATE desired_states SET ends_us = 1 WHERE ends_us > 0")
    given = {"sensor_id": response.sensor, "settings_type": "network_isolation"}
    told = response.ask("GET", "settings", **given).json
    assert told["state"] == "inactive"
    assert told["settings"]["autoTurnoffTimeoutInSec"] == 3600


@pytest.mark.row("4.3", "network_izolation, and settings as a list, are understood, never written")
def test_what_older_pages_print(response):
    made = response.isolate([{"autoTurnoffTimeoutInSec": 7200}], settings_type="network_izolation")
    assert made.status == 200
    assert "izolation" not in made.body.decode()
    assert isinstance(made.json["settings"], dict)
    assert response.isolate([{}, {}]).status == 400


@pytest.mark.row("4.3", "exclusions: direction, protocol, addresses, ports with one direction only")
@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"direction": "sideways"}, "direction"),
        ({"protocol": 300}, "protocol"),
        ({"remoteIpv4Address": "::1"}, "remoteIpv4Address"),
        ({"remotePortRange": {"fromPort": 1, "toPort": 2}}, "ports need a direction"),
        (
            {"direction": "outbound", "remotePortRange": {"fromPort": 3, "toPort": 2}},
            "fromPort is above toPort",
        ),
        ({"direction": "outbound", "remotePortRange": {"fromPort": 1, "toPort": 70_000}}, "toPort"),
    ],
)
def test_wrong_exclusions(response, rule, text):
    answer = response.isolate({"excludedRules": [rule]})
    assert answer.status == 400
    assert text in answer.json["error"]


@pytest.mark.row("4.3", "POST prevention replaces the list, of a host or of all")
@pytest.mark.row("4.3", "an empty list, or DELETE, ends prevention")
def test_prevention(response):
    md5, sha = {"file": {"md5": "a" * 32}}, {"file": {"sha256": "b" * 64, "name": "x.sh"}}
    for target in (response.sensor, "all"):
        given = {"sensor_id": target}
        assert response.prevent("GET", **given).json == {"settings": {"objects": []}}
        for objects in ([md5], [md5, sha]):
            body = {"settings": {"objects": objects}}
            assert response.prevent("POST", body, **given).status == 200
            assert response.prevent("GET", **given).json == body
        assert response.prevent("POST", {"settings": {"objects": []}}, **given).status == 200
        assert response.prevent("GET", **given).json == {"settings": {"objects": []}}
        response.prevent("POST", {"settings": {"objects": [md5]}}, **given)
        assert response.prevent("DELETE", **given).status == 200
        assert response.prevent("GET", **given).json == {"settings": {"objects": []}}


@pytest.mark.row("4.3", "POST tasks/ID: run_process, under the client's own id")
@pytest.mark.row("4.3", "GET tasks/ID: the state, with settings unless settings=false")
def test_a_program_is_run(response):
    full = {**RUN["task"], "cmdLineParameters": "-l '/a b'", "workingDirectory": "/tmp"}
    task, made = response.run({"task": full})
    assert made.status == 200
    assert made.json["state"] == "pending"
    assert made.json["latestStartDateTime"].endswith("Z")
    assert made.json["task"] == full
    kept = response.tasks.find(task)
    assert (kept.agent_id, kept.kind) == (response.sensor, "run_process")
    assert kept.parameters["arguments"] == "-l '/a b'"
    response.tasks.take_result(response.sensor, task, Result("done", exit_code=0))
    assert response.ask("GET", f"tasks/{task}").json["state"] == "done"
    assert response.ask("GET", f"tasks/{task}", settings="true").json["task"] == full
    short = response.ask("GET", f"tasks/{task}", settings="false").json
    assert set(short) == {"state", "latestStartDateTime"}
    assert response.ask("GET", f"tasks/{task}", settings="x").status == 400


@pytest.mark.row("4.3", "shedule, as an older page has it, is understood and never written")
def test_the_misspelt_schedule(response):
    _, made = response.run({"task": {"shedule": {"startNow": True}, "execCommand": "ls"}})
    assert made.status == 200
    assert b"shedule" not in made.body


@pytest.mark.row("4.3", "409 for a task id that was used")
def test_a_task_id_twice(response):
    task, _ = response.run()
    _, again = response.run(task=task)
    assert again.status == 409


@pytest.mark.row("4.3", "DELETE tasks/ID withdraws a task")
def test_a_task_is_deleted(response):
    task, _ = response.run()
    assert response.ask("DELETE", f"tasks/{task}").status == 200
    assert response.ask("GET", f"tasks/{task}").status == 404
    assert response.ask("DELETE", f"tasks/{task}").status == 404
    assert response.tasks.find(task).state == "cancelled"


@pytest.mark.row("4.3", "400 for wrong parameters (not 401, as two pages print)")
def test_wrong_parameters(response):
    known = {"sensor_id": response.sensor, "settings_type": "network_isolation"}
    for method, tail, body, given in (
        ("GET", "settings", None, {**known, "settings_type": "odd"}),
        ("GET", "settings", None, {"settings_type": "prevention"}),
        ("GET", "settings", None, {"sensor_id": response.sensor}),
        ("GET", "settings", None, {**known, "sensor_id": "all"}),
        ("POST", "settings", {"objects": []}, known),
        ("POST", "settings", [], known),
        ("POST", "tasks/a", RUN, {"sensor_id": response.sensor, "task_type": "odd"}),
        ("POST", "tasks/a", RUN, {"task_type": "run_process"}),
        ("POST", "tasks/a%20b", RUN, {"task_type": "run_process"}),
    ):
        answer = response.ask(method, tail, body, **given)
        assert answer.status == 400, (tail, given, answer.body)
        assert answer.json["error"].startswith("Bad Request: ")
    for body in (
        {},
        {"task": {}},
        {"task": {"execCommand": "ls"}},
        {"task": {"execCommand": "ls", "schedule": {"startNow": False}}},
        {"task": {"execCommand": "", "schedule": {"startNow": True}}},
        {"task": {**RUN["task"], "cmdLineParameters": "'open"}},
        {"task": {**RUN["task"], "workingDirectory": "here"}},
    ):
        assert response.run(body)[1].status == 400, body
    given = f"?sensor_id={response.sensor}&settings_type=prevention"
    path = f"/kata/response_api/v1/{response.script.id}/settings{given}"
    for data in (b"", b"{half", b"\xff", b"[" * 100_000):
        assert response.script.send(path, "POST", {}, data).status == 400


@pytest.mark.row("4.3", "401 for who is not authorised (not 400, as two pages print)")
def test_who_is_not_accepted(response, kata):
    stranger = kata.script()
    for method, tail in (
        ("GET", "sensors"),
        ("GET", "settings?settings_type=prevention"),
        ("POST", "settings?settings_type=odd"),
        ("POST", "tasks/a"),
        ("DELETE", "tasks/a"),
    ):
        path = f"/kata/response_api/v1/{stranger.id}/{tail}"
        answer = stranger.send(path, method, {}, b"{}" if method == "POST" else None)
        assert (answer.status, answer.json) == (401, {"error": "Unauthorized"})


@pytest.mark.row("4.3", "404 for a host or a task that is not there")
def test_what_is_not_there(response):
    nobody = str(uuid.uuid4())
    assert response.isolate({}, sensor_id=nobody).status == 404
    assert response.prevent("GET", sensor_id=nobody).status == 404
    assert response.prevent("POST", {"settings": {"objects": []}}, sensor_id=nobody).status == 404
    assert response.run(sensor_id=nobody)[1].status == 404
    assert response.ask("GET", f"tasks/{nobody}").status == 404
    assert response.ask("GET", "sensors", sensor_id=nobody).status == 404
    assert response.ask("GET", "odd").status == 404


@pytest.mark.row("4.3", "an internal error is to be repeated: 500, 502, 503, 504")
def test_a_database_that_takes_nothing(response, kata):
    body = {"settings": {"objects": []}}
    with kata.database.write():  # until the server gives up waiting, after ten seconds
        answer = response.prevent("POST", body)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"
    assert response.prevent("POST", body).status == 200


@pytest.mark.row("4.3", "a setting lets external systems read only: 403")
def test_external_systems_may_be_kept_from_responding(response, kata):
    kata.settings.set("external_systems.may_respond", False)
    try:
        for _ in attempts(10):
            answer = response.ask("GET", "sensors")
            if answer.status == 403:
                break
        assert answer.status == 403
        assert "may_respond" in answer.json["error"]
    finally:
        kata.settings.reset("external_systems.may_respond")
