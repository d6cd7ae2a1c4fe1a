"""Servers with their control data in one PostgreSQL: what one decides holds at the other."""

from __future__ import annotations

import httpx
import msgspec
import pytest
from tests.e2e.edr_process import SETTINGS, EdrProcess
from tests.edr.postgres import PostgreSQL, programs

from deodar.demo.stack import attempts
from deodar.edr.enrolment import Endpoints

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def postgresql():
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (tools/debian-packages test, as root)")
    server = PostgreSQL()
    yield server
    server.stop()


@pytest.fixture
def nodes(postgresql, tmp_path):
    """Return two servers with the same keys and database, each with an event log of its own."""
    settings = msgspec.structs.replace(SETTINGS, database=postgresql.empty())
    made = []
    for name in ("one", "two"):
        (tmp_path / f"{name}-logs").mkdir()
        node = EdrProcess(tmp_path / name, tmp_path / f"{name}-logs", settings)
        for file in ("authority.pem", "authority.key", "server.pem", "server.key", "token.key"):
            if made:
                target = tmp_path / name / file
                target.write_bytes((tmp_path / "one" / file).read_bytes())
        made.append(EdrProcess(tmp_path / name, tmp_path / f"{name}-logs", settings))
    for node in made:
        node.start()
    yield made
    for node in made:
        if node.child.alive:
            node.child.kill()


def test_an_agent_enrolled_at_one_is_known_and_shut_out_at_the_other(nodes):
    one, two = nodes
    agent = one.agent()
    assert agent.send(agent.packet(1)).status_code == 200
    agent._server = two
    agent.reconnect()
    assert agent.send(agent.packet(2)).status_code == 200
    database = one.installation.database()
    endpoints = Endpoints(database)
    endpoints.revoke(endpoints.list()[0].agent_id)
    database.close()
    assert agent.send(agent.packet(3)).status_code == 403


def test_a_system_accepted_at_one_reads_at_the_other(nodes):
    one, two = nodes
    agent, reader = two.agent(), one.reader()
    assert agent.send(agent.packet(1)).status_code == 200
    reader._server = two
    assert set(reader.all()) == agent.ids[1]


def test_without_the_database_requests_wait_and_nothing_acknowledged_is_lost(nodes, postgresql):
    one, _ = nodes
    agent, reader = one.agent(), one.reader()
    assert agent.send(agent.packet(1)).status_code == 200
    postgresql.kill()
    try:
        assert agent.send(agent.packet(2)).status_code == 503
    except httpx.HTTPError:
        agent.reconnect()
    postgresql.start()
    for _ in attempts(60, pause=0.2):
        if agent.send(2).status_code == 200:
            break
    assert sorted(reader.all()) == sorted(agent.ids[1] | agent.ids[2])
