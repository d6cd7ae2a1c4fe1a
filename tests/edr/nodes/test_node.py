from __future__ import annotations

import asyncio
import contextlib
import dataclasses

import msgspec
import pytest
from tests.edr.conftest import deodar, running, until

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.edr import installation as installations
from deodar.edr.errors import NodeProblem
from deodar.edr.nodes import node as nodes
from deodar.edr.nodes.register import Register
from deodar.edr.settings import EdrSettings, Ingest


@pytest.fixture
def settings(postgresql, stream) -> EdrSettings:
    return EdrSettings(
        host="127.0.0.1",
        port=0,
        names=("127.0.0.1",),
        store="clickhouse://not-asked/edr",
        database=postgresql.made(),
        ingest=Ingest(group_delay=0.01, stream=stream),
    )


@pytest.fixture
def installation(tmp_path, settings) -> installations.Installation:
    made = installations.init(tmp_path / "one", settings)
    made.directory.write("node.name", b"one")
    return made


async def test_a_packet_goes_through_the_stream_into_the_log_and_to_a_reader(server, events):
    system = await server.system().accepted()
    given = [events.event() for _ in range(3)]
    await server.put(given)

    async def arrived():
        found = (await system.get()).json()["events"]
        return len(found) == 3

    await until(arrived)
    status = msgspec.json.decode(await asyncio.to_thread(server.local.get, "/status"))
    assert (status["node"], status["term"]) == ("one", 1)
    (node,) = Register(server.database).list()
    assert (node.name, node.state) == ("one", "writing")


async def test_a_removed_node_stops_and_starts_no_more(installation, engine, settings, tmp_path):
    async with running(installation, engine) as server:
        await asyncio.to_thread(
            deodar, "node", "remove", "one", "--dir", installation.directory.path
        )
        await until(lambda: _is_set(server.stop))
    letters = DeadLetterStore(tmp_path / "letters")
    with pytest.raises(NodeProblem, match="the node 'one' was removed"):
        async with nodes.joined(installation, engine, letters, None):
            pass


async def _is_set(event) -> bool:
    return event.is_set()


async def test_without_nats_the_server_runs_reads_and_says_why_it_takes_nothing(
    installation, engine, tmp_path
):
    from tests.edr.nodes.nats_cluster import free_port

    stream = msgspec.structs.replace(
        installation.settings.ingest.stream,
        urls=(f"nats://127.0.0.1:{free_port()}",),
        timeout=0.5,
    )
    ingest = msgspec.structs.replace(installation.settings.ingest, stream=stream)
    settings = msgspec.structs.replace(installation.settings, ingest=ingest)
    async with running(dataclasses.replace(installation, settings=settings), engine) as server:
        system = await server.system().accepted()
        assert (await system.get()).json()["events"] == []
        status = msgspec.json.decode(await asyncio.to_thread(server.local.get, "/status"))
        assert status["failure"]
        with contextlib.closing(installation.database()) as database:
            assert [node.state for node in Register(database).list()] == ["running"]
