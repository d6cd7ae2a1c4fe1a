"""A full disk: new telemetry is refused, the rest goes on, and nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import json
import subprocess

import msgspec
import pytest
from tests.e2e.disk import disk
from tests.e2e.edr_process import SETTINGS, EdrProcess

from deodar.demo.stack import AT_ONCE, DEODAR, Stack, attempts, deodar
from deodar.edr.local import LocalServer
from deodar.events.builders import EventBuilder
from deodar.kit.children import ChildError

MB = 1 << 20
SIZE = 640 * MB

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]


def settings(reserve: int):
    ingest = msgspec.structs.replace(SETTINGS.ingest, free_bytes=reserve)
    return msgspec.structs.replace(SETTINGS, ingest=ingest)


def sent_until(agent, number: int, status: int):
    """Send a packet again and again until the server answers so; returns the answer."""
    for _ in attempts(60, pause=0.2):
        answer = agent.send(number)
        if answer.status_code == status:
            return answer
    raise AssertionError(f"HTTP {answer.status_code} to the end: {answer.text}")


def edr(server, *words: str) -> str:
    command = [*DEODAR, "edr", *words, "--dir", str(server.folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_below_the_reserve_packets_are_refused_and_the_rest_goes_on(tmp_path):
    with disk(tmp_path, "ext4", SIZE) as storage:
        server = EdrProcess(storage.mount / "edr", tmp_path, settings(64 * MB)).start()
        agent, reader = server.agent(), server.reader()
        assert agent.send(agent.packet(1)).status_code == 200
        ballast = storage.fill(leave=48 * MB)

        refused = sent_until(agent, agent.packet(2), 507)
        assert "ingest.free_bytes" in refused.json()["error"]
        assert refused.headers["Retry-After"] == "30"
        assert agent.send(1).json()["duplicate"] is True  # what is known needs no room
        assert set(reader.all()) == agent.ids[1]
        metrics = LocalServer(server.installation.directory.socket).get("/metrics")
        assert b"deodar_edr_full 1.0" in metrics
        late = server.agent()  # enrolled while the disk is full
        imported = subprocess.run(
            [*DEODAR, "edr", "import", "-", "--dir", str(server.folder)],
            input=agent.bodies[2], capture_output=True, timeout=60,
        )  # fmt: skip
        assert imported.returncode == 1
        assert b"ingest.free_bytes" in imported.stderr

        ballast.unlink()
        assert sent_until(agent, 2, 200).json()["events"] == len(agent.ids[2])
        assert late.send(late.packet(1)).status_code == 200
        assert set(reader.all()) == agent.ids[2] | late.ids[1]
        assert server.child.stop() == 0
        assert "telemetry_refused" in server.log
        assert "telemetry_taken_again" in server.log


def test_a_disk_without_any_room_loses_nothing_that_was_acknowledged(tmp_path):
    """Without a reserve the store itself fails in the middle of a block.

    Then there is no room for control data either, so reading may end in 503: hence the reserve.
    """
    with disk(tmp_path, "ext4", SIZE) as storage:
        server = EdrProcess(storage.mount / "edr", tmp_path, settings(0)).start()
        agent = server.agent()
        assert agent.send(agent.packet(1)).status_code == 200
        ballast = storage.fill()
        number, answers = 1, []
        for _ in attempts(60):
            number += 1
            answers.append(agent.send(agent.packet(number, events=500)))
            if answers[-1].status_code != 200:
                break
        assert answers[-1].status_code in (503, 507), answers[-1].text
        assert int(answers[-1].headers["Retry-After"]) > 0

        server.child.kill()  # and a crash on the full disk changes nothing, nor does a start there
        with contextlib.suppress(ChildError):
            server.start()
        if server.child.alive:
            server.child.kill()
        ballast.unlink()
        server.start()
        agent.reconnect()
        for n in sorted(agent.bodies):
            sent_until(agent, n, 200)
        found = server.reader().all()
        assert sorted(found) == sorted(event for ids in agent.ids.values() for event in ids)
        assert server.child.stop() == 0


def test_a_real_agent_waits_and_delivers_when_there_is_room(tmp_path):
    with disk(tmp_path, "ext4", SIZE) as storage:
        stack = Stack(tmp_path / "stack")
        server = EdrProcess(storage.mount / "edr", tmp_path, settings(64 * MB)).start()
        ballast = storage.fill(leave=48 * MB)
        events = tmp_path / "events.ndjson"
        token = json.loads(edr(server, "enroll", "--json"))["token"]
        events.write_bytes(EventBuilder(5).ndjson(300))
        deodar("agent", "enroll", token, "--dir", stack.agent)
        deodar("agent", "task", "settings", "set", "KATAEDR", *AT_ONCE, "--dir", stack.agent)
        try:
            stack.start_agent("--sensor", "replay", "--replay", events)
            for _ in attempts(60):
                told = json.loads(deodar("agent", "status", "--json", "--dir", stack.agent))
                if "507" in json.dumps(told):
                    break
            assert "HTTP 507" in json.dumps(told)
            ballast.unlink()
            reader = server.reader()
            found: list[str] = []
            for _ in attempts(120, pause=0.5):
                found += reader.all()
                if len(found) >= 300:
                    break
            assert len(set(found)) == len(found) >= 300
        finally:
            stack.close()
            server.child.stop()
