from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.edr.nodes.nats_cluster import NatsCluster

from deodar.edr.database import Database
from deodar.edr.nodes.connection import Connection
from deodar.edr.settings import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Return one NATS server with JetStream; what tests put into it goes by names of their own."""
    made = NatsCluster(tmp_path_factory.mktemp("nats"), 1).start()
    yield made
    made.stop()


@pytest.fixture
def stream(nats_server: NatsCluster, tmp_path: Path) -> Stream:
    """Return settings of a stream that is this test's alone."""
    name = f"t{abs(hash(str(tmp_path))) % 10**9}"
    return Stream(urls=nats_server.urls, name=name, replicas=1, max_bytes=64 << 20, timeout=3.0)


@pytest.fixture
async def connection(stream: Stream, tmp_path: Path) -> AsyncIterator[Connection]:
    async with Connection(stream, tmp_path).opened() as opened:
        yield opened
        await opened.jetstream.delete_stream(opened.stream)


@pytest.fixture
def shared(postgresql) -> Iterator[Database]:
    """Return control data in PostgreSQL, as servers that share a log have them."""
    with contextlib.closing(Database(postgresql.made())) as opened:
        yield opened
