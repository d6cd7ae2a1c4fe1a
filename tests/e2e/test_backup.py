"""Backup while agents send and systems read; restored, nothing is skipped or sent twice."""

from __future__ import annotations

import json
import threading

import pytest
from tests.e2e.edr_process import EdrProcess

from deodar.demo.stack import attempts, deodar

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def server(tmp_path):
    started = EdrProcess(tmp_path / "edr", tmp_path).start()
    yield started
    if started.child.alive:
        started.child.kill()


def test_a_restored_server_goes_on_where_the_backup_was_made(server, tmp_path):
    agent = server.agent()
    behind, at_backup, ahead = (server.reader() for _ in range(3))
    for number in (1, 2):
        assert agent.send(agent.packet(number)).status_code == 200
    assert set(at_backup.all()) == agent.ids[1] | agent.ids[2]
    behind.get(max_events="5")
    deodar("edr", "backup", tmp_path / "b.tar", "--keys", "--dir", server.folder)

    assert agent.send(agent.packet(3)).status_code == 200
    assert set(ahead.all()) == agent.ids[1] | agent.ids[2] | agent.ids[3]
    assert server.child.stop() == 0

    told = json.loads(
        deodar("edr", "restore", tmp_path / "b.tar", server.folder, "--replace", "--json")
    )
    assert told["events"] == told["last_seq"] == 40
    server.start()
    agent.reconnect()
    assert agent.send(2).json()["duplicate"] is True
    assert agent.send(agent.packet(4)).status_code == 200

    # A token that the backup knows goes on, without a gap and without an event twice.
    assert len(behind.all()) == 35 + 20
    assert set(at_backup.all()) == agent.ids[4]
    # One that stands behind the backup's last event would skip some of the new ones.
    refused = ahead.get()
    assert (refused.status_code, refused.json()["error"]) == (404, "Continuation token not found")
    assert "an older state was restored" in server.log
    ahead.token = ""
    assert set(ahead.all()) == agent.ids[1] | agent.ids[2] | agent.ids[4]
    assert server.child.stop() == 0


def test_a_backup_under_load_is_a_whole_beginning_of_the_log(server, tmp_path):
    agents = [server.agent() for _ in range(2)]
    done = threading.Event()

    def work(agent) -> None:
        number = 0
        while not done.is_set():
            number += 1
            agent.send(agent.packet(number, events=100)).raise_for_status()

    senders = [threading.Thread(target=work, args=(agent,)) for agent in agents]
    for sender in senders:
        sender.start()
    for _ in attempts(30, pause=0.05):
        if sum(len(agent.acknowledged) for agent in agents) > 20:
            break
    words = ("edr", "backup", tmp_path / "b.tar", "--dir", server.folder, "--json")
    made = json.loads(deodar(*words))
    done.set()
    for sender in senders:
        sender.join(30)
    every = server.reader().all()
    assert server.child.stop() == 0
    assert 0 < made["events"] < len(every)

    other = tmp_path / "other"
    words = (tmp_path / "b.tar", other, "--keys-from", server.folder, "--json")
    assert json.loads(deodar("edr", "restore", *words))["events"] == made["events"]
    restored = EdrProcess(other, tmp_path)
    restored.start()
    try:
        assert restored.reader().all() == every[: made["events"]]
        for agent in agents:  # what came after the backup can be sent again
            agent._server = restored
            agent.reconnect()
            for number in sorted(agent.bodies):
                agent.send(number).raise_for_status()
        assert sorted(restored.reader().all()) == sorted(every)
    finally:
        restored.child.stop()
