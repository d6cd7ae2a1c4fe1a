"""Orders of a real server to a real agent: carried out and answered in under a second."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.script import Script

from deodar.demo.stack import Stack, attempts
from deodar.edr.enrolment import Endpoints
from deodar.edr.external_systems import Register
from deodar.edr.installation import open_
from deodar.edr.tasking import Tasking
from deodar.response.isolation import ISOLATION
from deodar.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(180)]


class Ordered:
    """A server with one agent, and what an administrator's process does on its database."""

    def __init__(self, stack: Stack, tasking: Tasking, agent_id: str) -> None:
        self.stack, self.tasking, self.agent_id = stack, tasking, agent_id

    def order(self, kind: str, **parameters: Any) -> tuple[Any, dict[str, float]]:
        """Give a task and follow it; returns it, and the seconds to each of its states."""
        began = time.monotonic()
        task = self.tasking.tasks.create(self.agent_id, kind, parameters)
        seen: dict[str, float] = {}
        while time.monotonic() < began + 20:
            task = self.tasking.tasks.find(task.id)
            seen.setdefault(task.state, time.monotonic() - began)
            if task.ended_us:
                break
            time.sleep(0.005)
        return task, seen


@pytest.fixture
def ordered(stack: Stack) -> Iterator[Ordered]:
    stack.start_edr()
    stack.start_agent("--sensor", "proc")
    opened = open_(stack.edr)
    with contextlib.closing(opened.database()) as database:
        settings = opened.settings.tasking
        tasking = Tasking(database, opened.directory.path, opened.server_id, settings)
        (endpoint,) = Endpoints(database).list()
        made = Ordered(stack, tasking, endpoint.agent_id)
        made.order("run_process", command="true")  # the agent waits from here on
        yield made


def test_a_program_runs_and_answers_in_under_a_second(ordered: Ordered):
    for _ in range(3):
        task, seen = ordered.order("run_process", command="sh", arguments="-c 'id -u; exit 4'")
        assert (task.state, task.result["exit_code"]) == ("done", 4)
        assert task.result["output"] == "0\n"
        assert min(seen.get("delivered", 9.0), seen.get("running", 9.0), seen["done"]) < 1.0


def test_a_file_is_fetched_as_it_is(ordered: Ordered, tmp_path):
    path = tmp_path / "evidence"
    path.write_bytes(b"\0evidence" * 300_000)
    task, _ = ordered.order("get_file", path=str(path))
    assert task.state == "done", task.reason
    kept = ordered.tasking.files.of_task(task.id)
    assert kept.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert b"".join(ordered.tasking.files.content(kept)) == path.read_bytes()


def test_what_the_agent_does_not_know_is_shown_as_such(ordered: Ordered):
    task, _ = ordered.order("quarantine_file", path="/tmp/x")
    assert (task.state, task.result["supported"]) == ("failed", False)
    began = time.monotonic()
    wanted = ordered.tasking.states.set(ordered.agent_id, ISOLATION, {})
    told: list[Any] = []
    for _ in attempts(10, 0.02):
        told = ordered.tasking.states.applied(ordered.agent_id)
        if told:
            break
    assert time.monotonic() - began < 1.0
    assert (told[0].number, told[0].outcome) == (wanted.number, "unsupported")


def test_tasks_survive_a_restart_of_either_side(ordered: Ordered):
    stack = ordered.stack
    stack.children["agent"].kill()
    marker = stack.folder / "ran"
    words = f"-c 'echo x >> {marker}'"
    task = ordered.tasking.tasks.create(
        ordered.agent_id, "run_process", {"command": "sh", "arguments": words}
    )
    stack.children["edr"].kill()
    stack.restart("edr")
    stack.restart("agent")
    for _ in attempts(60):
        if ordered.tasking.tasks.find(task.id).ended_us:
            break
    assert ordered.tasking.tasks.find(task.id).state == "done"
    assert Path(marker).read_text() == "x\n"


def test_a_program_that_runs_when_the_agent_is_killed_is_told_as_failed(ordered: Ordered):
    task = ordered.tasking.tasks.create(
        ordered.agent_id, "run_process", {"command": "sleep", "arguments": "8", "time_limit": 10}
    )
    for _ in attempts(10):
        if ordered.tasking.tasks.find(task.id).state == "running":
            break
    ordered.stack.children["agent"].kill()
    ordered.stack.restart("agent")
    for _ in attempts(60):
        if ordered.tasking.tasks.find(task.id).ended_us:
            break
    ended = ordered.tasking.tasks.find(task.id)
    assert (ended.state, ended.reason) == ("failed", "the agent ended while the task ran")


def test_a_script_written_against_kata_runs_a_program_on_this_host(ordered: Ordered, tmp_path):
    opened = open_(ordered.stack.edr)
    pem = tmp_path / "client.pem"
    pem.write_bytes(certificates.self_signed("script").pem)
    script = Script(opened.url, ordered.stack.edr / "authority.pem", pem, "script-1")
    base = f"/kata/response_api/v1/{script.id}"
    assert script.send(f"{base}/sensors").status == 401
    with contextlib.closing(opened.database()) as database:
        Register(database, opened.settings.external_systems).accept(script.id)

    sensor = script.send(f"{base}/sensors").json["sensors"][0]["sensorId"]
    marker = tmp_path / "made-by-the-script"
    task = {
        "schedule": {"startNow": True},
        "execCommand": "touch",
        "cmdLineParameters": f"'{marker}'",
    }
    body = json.dumps({"task": task}).encode()
    began = time.monotonic()
    url = f"{base}/tasks/5f1b1c1e-0000-4000-8000-000000000001"
    made = script.send(f"{url}?sensor_id={sensor}&task_type=run_process", "POST", {}, body)
    assert made.status == 200
    for _ in attempts(20, 0.05):
        told = script.send(url).json
        if told["state"] == "done":
            break
    assert told["state"] == "done"
    assert marker.exists()
    assert time.monotonic() - began < 5  # with a TLS handshake for each question
