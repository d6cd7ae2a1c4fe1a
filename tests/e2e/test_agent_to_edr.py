"""The agent and the EDR server of the same tree understand each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deodar.agent import status
from deodar.events.builders import EventBuilder
from deodar.kit.children import Child
from deodar.kit.directory import StateDirectory
from deodar.tls.certificates import self_signed
from deodar.tls.contexts import unverified_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEODAR = (sys.executable, "-m", "deodar")
EVENTS = 3000


def deodar(*words: object) -> str:
    command = [*DEODAR, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def wait_for(condition: Callable[[], Any], limit: float = 20.0) -> Any:
    """Return what the condition gives as soon as it is true; fail after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.fixture
def edr(tmp_path: Path) -> Iterator[Child]:
    folder = tmp_path / "edr"
    deodar("edr", "init", "--dir", folder, "--host", "127.0.0.1", "--port", 0)
    child = Child("edr", [*DEODAR, "edr", "run", "--dir", str(folder)], tmp_path).start()
    yield child
    if child.alive:
        child.stop()


def pull(url: str, folder: Path) -> list[dict[str, Any]]:
    """Return what an external system that has just been accepted gets from the events API."""
    identity = str(uuid.uuid4())
    tls = unverified_client(self_signed("test"))
    asked = f"{url}/kata/events_api/v1/{identity}/events"
    with httpx.Client(verify=tls, timeout=60) as client:
        assert client.get(asked).status_code == 401
        deodar("edr", "external-systems", "accept", identity, "--dir", folder)
        events: list[dict[str, Any]] = []
        query = {"max_timeout": "PT1S", "max_events": "10000"}
        while True:
            answer = client.get(asked, params=query).raise_for_status().json()
            if not answer.get("events"):
                return events
            events += answer["events"]
            query["continuation_token"] = answer["continuationToken"]


@pytest.mark.slow
def test_killed_agent_delivers_every_event_once_to_the_real_server(
    edr: Child, tmp_path: Path
) -> None:
    url = edr.ready(60)["url"]
    token = json.loads(deodar("edr", "enroll", "--json", "--dir", tmp_path / "edr"))["token"]
    folder = tmp_path / "agent"
    deodar("agent", "enroll", "--dir", folder, token)
    file = tmp_path / "events.ndjson"
    file.write_bytes(EventBuilder(3).ndjson(EVENTS))
    run = [*DEODAR, "agent", "run", "--dir", str(folder), "--replay", str(file)]

    first = Child("first", [*run, "--rate", "1500"], tmp_path).start()
    wait_for(lambda: (told := status.read(StateDirectory(folder))) and told.uplink.events, 60)
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: not first.alive)
    second = Child("second", [*run, "--exit-at-end"], tmp_path).start()
    wait_for(lambda: not second.alive, 60)

    told = status.read(StateDirectory(folder))
    assert told is not None
    assert (told.uplink.state, told.uplink.dead_events, told.losses) == ("connected", 0, [])
    sent = [json.loads(line)["Id"] for line in file.read_bytes().splitlines()]
    assert sorted(event["Id"] for event in pull(url, tmp_path / "edr")) == sorted(sent)


def test_agent_that_was_revoked_says_so(edr: Child, tmp_path: Path) -> None:
    edr.ready(60)
    token = json.loads(deodar("edr", "enroll", "--json", "--dir", tmp_path / "edr"))["token"]
    folder = tmp_path / "agent"
    deodar("agent", "enroll", "--dir", folder, token)
    settings = (folder / "agent.toml").read_text()
    identity = next(line for line in settings.splitlines() if line.startswith("agent_id"))
    deodar("edr", "endpoints", "revoke", identity.split('"')[1], "--dir", tmp_path / "edr")
    file = tmp_path / "events.ndjson"
    file.write_bytes(EventBuilder(3).ndjson(10))
    words = ["agent", "run", "--dir", str(folder), "--replay", str(file)]
    child = Child("agent", [*DEODAR, *words], tmp_path).start()
    told = wait_for(
        lambda: (told := status.read(StateDirectory(folder))) and told.uplink.problem and told,
        90,  # it is written every half minute
    )
    assert told.uplink.state == "refused"
    assert "deodar agent enroll" in told.uplink.problem
    child.stop()
