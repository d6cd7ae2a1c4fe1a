from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.edr.conftest import until
from tests.edr.nodes.nats_cluster import NatsCluster, free_port

from deodar.edr.errors import LogUnavailable
from deodar.edr.nodes.connection import Connection
from deodar.tls.certificates import issue_server, make_authority


async def test_the_stream_is_made_as_the_settings_say(connection):
    config = (await connection.jetstream.stream_info(connection.stream)).config
    assert config.max_bytes == connection.settings.max_bytes
    assert config.num_replicas == 1
    assert (config.discard, config.retention) == ("new", "limits")


async def test_a_changed_bound_is_carried_into_the_stream(connection, tmp_path):
    wider = msgspec.structs.replace(connection.settings, max_bytes=99 << 20)
    async with Connection(wider, tmp_path).opened() as other:
        config = (await other.jetstream.stream_info(other.stream)).config
    assert config.max_bytes == 99 << 20


async def test_a_stream_of_somebody_else_is_left_alone_and_told(connection, tmp_path):
    settings = msgspec.structs.replace(connection.settings, name=connection.settings.name + "x")
    other = Connection(settings, tmp_path)
    await connection.jetstream.add_stream(name=other.stream, subjects=[settings.name + ".y"])
    async with other.opened():
        assert "was made by somebody else; give ingest.stream.name" in other.problem
        with pytest.raises(LogUnavailable, match="somebody else"):
            _ = other.client
    await connection.jetstream.delete_stream(other.stream)


async def test_without_a_server_it_is_told_and_tried_on(stream, tmp_path):
    settings = msgspec.structs.replace(
        stream, urls=(f"nats://127.0.0.1:{free_port()}",), timeout=0.5
    )
    async with Connection(settings, tmp_path).opened() as opened:
        with pytest.raises(LogUnavailable, match="NATS cannot be reached"):
            _ = opened.client
        assert opened.problem


async def test_what_is_told_is_heard_by_those_who_listen(connection, tmp_path):
    heard = []

    async def hear(data: bytes) -> None:
        heard.append(data)

    other = Connection(connection.settings, tmp_path)
    other.listen(other.subject("word"), hear)
    async with other.opened():
        await connection.tell(connection.subject("word"), b"one")

        async def both():
            return heard == [b"one"]

        await until(both)


async def test_tls_with_the_servers_authority_and_a_certificate_of_ones_own(stream, tmp_path):
    authority = make_authority("nats")
    server = issue_server(authority, ["localhost", "127.0.0.1"])
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "s.pem").write_bytes(server.certificate)
    (tmp_path / "s.key").write_bytes(server.key)
    extra = f'tls {{ cert_file: "{tmp_path}/s.pem", key_file: "{tmp_path}/s.key" }}\n'
    cluster = NatsCluster(tmp_path, 1, extra)
    cluster.children[0].start()
    urls = (f"tls://localhost:{cluster.ports[0]}",)
    try:
        settings = msgspec.structs.replace(stream, urls=urls, ca="ca.pem")
        async with asyncio.timeout(20), Connection(settings, tmp_path).opened() as opened:

            async def usable():
                return not opened.problem

            await until(usable)
        (tmp_path / "ca.pem").write_bytes(make_authority("other").certificate)
        async with Connection(settings, tmp_path).opened() as opened:
            assert opened.problem
    finally:
        cluster.stop()
