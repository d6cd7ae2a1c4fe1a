"""NATS JetStream against a real nats-server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nats
import pytest
import zstandard
from tests.siem.batches import batch

from deodar.siem.destinations.nats_jetstream import NatsDestination, NatsSettings
from deodar.siem.errors import DestinationRefused, DestinationUnavailable

SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        (folder / "token").write_text("open-sesame")

    def __enter__(self) -> Server:
        words = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "js")]
        self.log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [SERVER, *words, "--auth", "open-sesame"], stdout=self.log, stderr=self.log
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_error: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    async def client(self):
        return await nats.connect(self.url, token="open-sesame")

    def opened(self, **changes) -> NatsDestination:
        changes = {"urls": [self.url], "token_file": "token", "timeout": 5.0, **changes}
        settings = NatsSettings(name="x", kind="nats-jetstream", subject="events.all", **changes)
        return NatsDestination(settings, self.folder)


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path) as server:
        yield server


async def messages(client) -> list:
    found = await client.jetstream().pull_subscribe("events.all", stream="EVENTS")
    count = (await client.jetstream().stream_info("EVENTS")).state.messages
    return await found.fetch(count, timeout=5) if count else []


def events_of(message) -> list[dict]:
    plain = zstandard.ZstdDecompressor().decompress(message.data)
    return [json.loads(line) for line in plain.splitlines()]


async def test_blocks_are_in_the_stream_once_however_often_they_are_sent(server):
    client = await server.client()
    await client.jetstream().add_stream(name="EVENTS", subjects=["events.>"])
    for _ in range(2):  # the second one is a collector that was killed before it noted the first
        destination = server.opened(max_events=4)
        assert "stream EVENTS takes events.all" in await destination.check()
        await destination.deliver(batch(10))
        await destination.close()
    found = await messages(client)
    await client.close()
    assert [message.headers["Nats-Msg-Id"] for message in found] == [
        "batch-1-1", "batch-1-2", "batch-1-3",
    ]  # fmt: skip
    assert {message.headers["Content-Encoding"] for message in found} == {"zstd"}
    events = [event for message in found for event in events_of(message)]
    assert [event["ID"] for event in events] == [f"id-{n}" for n in range(10)]


async def test_without_a_stream_it_is_no_delivery(server):
    destination = server.opened()
    with pytest.raises(DestinationUnavailable, match="NATS nats://"):
        await destination.check()
    with pytest.raises(DestinationUnavailable, match="no response"):
        await destination.deliver(batch(1))
    await destination.close()


async def test_an_event_beyond_the_servers_limit_is_refused_and_the_others_sent(server):
    client = await server.client()
    await client.jetstream().add_stream(name="EVENTS", subjects=["events.>"])
    destination = server.opened(compression="none", max_events=1)
    too_long = batch(2, "b2", FilePath="x" * (2 << 20))
    with pytest.raises(DestinationRefused) as told:
        await destination.deliver(too_long)
    assert told.value.rows == 2
    await destination.deliver(batch(2, "b3"))
    await destination.close()
    assert (await client.jetstream().stream_info("EVENTS")).state.messages == 2
    await client.close()


async def test_a_restarted_server_is_connected_to_again(tmp_path):
    server = Server(tmp_path)
    destination = server.opened()
    with server:
        client = await server.client()
        await client.jetstream().add_stream(name="EVENTS", subjects=["events.>"])
        await destination.deliver(batch(1, "b1"))
        await client.close()
    with pytest.raises(DestinationUnavailable):
        await destination.deliver(batch(1, "b2"))
    with server:
        await destination.deliver(batch(1, "b2"))
        client = await server.client()
        found = await messages(client)
        await client.close()
    await destination.close()
    assert [message.headers["Deodar-Batch"] for message in found] == ["b1", "b2"]


async def test_a_wrong_token_is_told(server):
    (server.folder / "wrong").write_text("x")
    destination = server.opened(token_file="wrong", timeout=2.0)
    with pytest.raises(DestinationUnavailable, match=r"(?i)authorization"):
        await destination.deliver(batch(1))
    await destination.close()
