"""Several servers behind one name: whatever of them dies, each event is in the log once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import threading
import time

import pytest
from tests.e2e.several_nodes import (
    Nodes,
    NodesAgent,
    NodesReader,
    accept_pending,
    sending,
)
from tests.edr.postgres import programs

from deodar.demo.stack import Ports, Stack, attempts, deodar, free_port
from deodar.edr.enrolment import Endpoints
from deodar.edr.tasking.tasks import Tasks
from deodar.tls.certificates import fingerprint

ROUNDS = int(os.environ.get("DEODAR_NODES_ROUNDS", "0"))
"""How often each part dies in the long form (make prove-nodes); 0 is the short form."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 120 * ROUNDS)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (tools/debian-packages test, as root)")
    made = Nodes(tmp_path_factory.mktemp("nodes"))
    yield made
    made.stop()


def exactly(reader: NodesReader, agents: list[NodesAgent], node: int) -> None:
    """Let a reader come to the end; it must have got each acknowledged event once, in order."""
    wanted = {event for agent in agents for event in agent.ids}
    before = set(reader.ids)
    for _ in attempts(60, pause=0.1):
        if reader.read(node, "PT0.2S") == 0 and wanted <= before | set(reader.ids):
            break
        before = set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids)), "an event came twice"
    mine = [event for event in reader.ids if event in wanted]
    assert len(mine) == len(wanted), f"{len(wanted) - len(mine)} of {len(wanted)} are missing"
    for agent in agents:
        own = set(agent.ids)
        assert [event for event in reader.ids if event in own] == agent.ids


def kill_writer(nodes: Nodes) -> None:
    node = nodes.writer()
    node.child.kill()
    assert nodes.writer() is not node
    node.start()


def kill_other(nodes: Nodes) -> None:
    node = next(one for one in nodes.all if one is not nodes.writer())
    node.child.kill()
    time.sleep(0.5)
    node.start()


def kill_nats(nodes: Nodes) -> None:
    child = random.choice(nodes.nats.children)
    child.kill()
    time.sleep(2)
    child.start()


def kill_postgresql(nodes: Nodes) -> None:
    nodes.postgresql.kill()
    time.sleep(0.5)
    nodes.postgresql.start()


def kill_store(nodes: Nodes) -> None:
    nodes.store.child.kill()
    time.sleep(0.5)
    nodes.store.start()


DEATHS = (kill_writer, kill_nats, kill_postgresql, kill_store, kill_other)


def test_whatever_dies_each_acknowledged_event_is_read_once_and_in_order(nodes):
    agents = [nodes.agent() for _ in range(3)]
    steady, hopping = nodes.reader(), nodes.reader()
    deaths = [death for _ in range(max(1, ROUNDS)) for death in DEATHS]
    if ROUNDS:
        random.shuffle(deaths)
    with sending(agents):
        for death in deaths:
            time.sleep(1)
            death(nodes)
            nodes.writer()
            for _ in range(3):
                steady.read(0)
                hopping.read(random.randrange(len(nodes.all)))
        time.sleep(1)
    for reader, node in ((steady, 0), (hopping, 1)):
        exactly(reader, agents, node)
    for agent in agents:
        agent.close()
    print(f"{sum(len(agent.ids) for agent in agents)} events, {len(deaths)} deaths, "
          f"{sum(agent.repeats for agent in agents)} repeats")  # fmt: skip


def test_an_event_that_came_in_at_one_node_reaches_a_reader_at_the_other_soon(nodes):
    agent, reader = nodes.agent(), nodes.reader()
    while reader.read(1):
        pass
    agent._random.seed(1)
    agent.send()
    began = time.monotonic()
    while len([event for event in agent.ids if event in reader.ids]) < len(agent.ids):
        reader.read(1, "PT0.2S")
        assert time.monotonic() - began < 10
    assert time.monotonic() - began < 3
    agent.close()


def test_an_order_reaches_an_agent_that_waits_at_another_node_within_a_second(nodes):
    agent = nodes.all[0].agent()
    told: list[tuple[float, int]] = []

    def wait() -> None:
        with nodes.all[1].client(agent._pair) as client:
            answer = client.get("/agent/v1/tasking", params={"since": "0", "wait": "15"})
            told.append((time.monotonic(), len(answer.json()["tasks"])))

    agent_id = _agent_id(nodes, agent)
    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(1)
    database = nodes.all[0].installation.database()
    ordered = time.monotonic()
    Tasks(database).create(agent_id, "get_file", {"path": "/etc/hostname"}, user="test")
    thread.join(20)
    database.close()
    assert told[0][1] == 1
    assert told[0][0] - ordered < 1.0


def _agent_id(nodes: Nodes, agent) -> str:
    database = nodes.all[0].installation.database()
    try:
        return Endpoints(database).by_digest(fingerprint(agent._pair.certificate)).agent_id
    finally:
        database.close()


def test_a_collector_that_lists_the_nodes_takes_each_event_once(nodes, tmp_path):
    (tmp_path / "edr").symlink_to(nodes.folder / "one")
    stack = Stack(tmp_path, Ports(edr=0, core=0))
    urls = [word for node in nodes.all for word in ("--edr", node.url)]
    authority = ("--edr-ca", nodes.folder / "one" / "authority.pem", "--fetch-timeout", "0.25")
    deodar("siem", "init", "--dir", stack.siem, "--port", free_port(0), *urls, *authority)
    agent = nodes.agent()
    try:
        stack.start_core(nodes.all[0].url)
        stack.start_collector()
        accept_pending(nodes.folder / "one")
        with sending([agent]):
            time.sleep(1)
            kill_writer(nodes)
        found = (0, 0)
        for _ in attempts(60, pause=0.5):
            found = _found(stack, agent.ids)
            if found[0] >= len(agent.ids):
                break
        assert found == (len(agent.ids), len(agent.ids))
    finally:
        stack.close()
        agent.close()


def _found(stack: Stack, ids: list[str]) -> tuple[int, int]:
    """Return how many events the SIEM has of these, and how many different ones."""
    rows = [
        stack.search(
            "SELECT count() AS events, uniqExact(ExternalID) AS ids FROM events "
            f"WHERE ExternalID IN ({', '.join(repr(one) for one in ids[at : at + 500])})"
        )[0]
        for at in range(0, len(ids), 500)
    ]
    return sum(int(row["events"]) for row in rows), sum(int(row["ids"]) for row in rows)


def test_a_file_that_came_in_at_one_node_is_given_out_by_another(nodes):
    agent, content = nodes.all[0].agent(), os.urandom(1_500_000)
    first = nodes.all[0].installation
    with contextlib.closing(first.database()) as database:
        task = Tasks(database).create(
            _agent_id(nodes, agent), "get_file", {"path": "/x"}, user="test"
        )
        headers = {
            "Deodar-Total": str(len(content)),
            "Deodar-Sha256": hashlib.sha256(content).hexdigest(),
        }
        for node, offset in ((0, 0), (1, 1 << 20)):  # the parts, too, may come to different nodes
            with nodes.all[node].client(agent._pair) as client:
                answer = client.post(
                    f"/agent/v1/results/{task.id}/file",
                    content=content[offset : offset + (1 << 20)],
                    headers={**headers, "Deodar-Offset": str(offset)},
                )
                assert answer.status_code == 200, answer.text
    target = nodes.folder / "fetched-file"
    deodar("edr", "task", "file", task.id, "--to", target, "--dir", nodes.folder / "two")
    assert target.read_bytes() == content
