"""NATS JetStream against a real nats-server, with kills between journal and acknowledgement."""

from __future__ import annotations

import asyncio
import contextlib
import gzip

import pytest
from tests.siem.batches import batch
from tests.siem.connectors.kept import KeptSink, running, until
from tests.siem.destinations.test_nats_jetstream import Server, server  # noqa: F401 - a fixture

from deodar.siem.connectors import nats_jetstream
from deodar.siem.connectors.backoff import Backoff
from deodar.siem.connectors.nats_jetstream import NatsConnector, NatsSettings
from deodar.siem.errors import ConnectorError


@pytest.fixture
def sink():
    return KeptSink()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(nats_jetstream, "_BACKOFF", Backoff(0.05, 0.2))
    monkeypatch.setattr(nats_jetstream, "_FETCH_SECONDS", 0.3)


def made(sink, server, **changes) -> NatsConnector:  # noqa: F811
    changes = {"urls": [server.url], "token_file": "token", "timeout": 5.0, **changes}
    settings = NatsSettings(**{"stream": "EVENTS", "batch": 50, **changes})
    assert settings.problem() == ""
    return NatsConnector(settings, server.folder, sink)


@contextlib.asynccontextmanager
async def stream(server):  # noqa: F811
    """A stream of events.>; gives its context."""
    client = await server.client()
    try:
        await client.jetstream().add_stream(name="EVENTS", subjects=["events.>"])
        yield client.jetstream()
    finally:
        await client.close()


async def publish(js, *texts, headers=None) -> None:
    for text in texts:
        await js.publish("events.all", text, headers=headers)


async def test_messages_come_in_their_order_and_are_acknowledged(server, sink):  # noqa: F811
    async with stream(server) as js:
        await publish(js, *(b"%d" % n for n in range(200)))
        async with running(made(sink, server)):
            await until(lambda: len(sink.events()) == 200)
            await publish(js, b"later")
            await until(lambda: len(sink.events()) == 201)
        info = await js.consumer_info("EVENTS", "deodar")
    assert sink.events()[:200] == [b"%d" % n for n in range(200)]
    assert sink.arrived()[0][0] == "events.all"
    assert (info.num_pending, info.num_ack_pending) == (0, 0)


async def test_a_kill_before_the_acknowledgement_costs_no_repeat(server, sink):  # noqa: F811
    class Killed(KeptSink):
        async def put(self, handover):
            await super().put(handover)
            await asyncio.Event().wait()  # durable, and nobody lives to acknowledge it

    first = Killed()
    async with stream(server) as js:
        await publish(js, *(b"%d" % n for n in range(20)))
        async with running(made(first, server, ack_seconds=1.0)):
            await until(lambda: len(first.events()) == 20)
        sink.state = first.state
        async with running(made(sink, server, ack_seconds=1.0), sink.state):
            await until(lambda: sink.counts.get("repeats") == 20)
            await publish(js, b"new")
            await until(lambda: sink.events() == [b"new"])


async def test_nothing_is_acknowledged_while_the_journal_is_full(server, sink):  # noqa: F811
    sink.open.clear()
    async with stream(server) as js:
        await publish(js, b"1", b"2")
        async with running(made(sink, server)):
            await until(sink._lock.locked)
            info = await js.consumer_info("EVENTS", "deodar")
            assert info.num_ack_pending > 0
            sink.open.set()
            await until(lambda: sink.events() == [b"1", b"2"])


async def test_a_stream_that_was_made_anew_begins_at_its_first_message(server, sink):  # noqa: F811
    async with stream(server) as js:
        await publish(js, b"old 1", b"old 2")
        async with running(made(sink, server)):
            await until(lambda: len(sink.events()) == 2)
        await js.delete_stream("EVENTS")
        await js.add_stream(name="EVENTS", subjects=["events.>"])
        await publish(js, b"new 1")
        async with running(made(sink, server), sink.state):
            await until(lambda: sink.events()[2:] == [b"new 1"])


async def test_blocks_of_our_own_destination_are_unpacked(server, sink):  # noqa: F811
    async with stream(server) as js:
        destination = server.opened(max_events=4)
        await destination.deliver(batch(10))
        await destination.close()
        await publish(js, gzip.compress(b"x\ny"), headers={"Content-Encoding": "gzip"})
        await publish(js, b"broken", headers={"Content-Encoding": "zstd"})
        async with running(made(sink, server, layout="lines")):
            await until(lambda: len(sink.events()) == 12 and sink.aside)
    assert sink.aside[0][2] == b"broken"
    assert sink.counts["unusable"] == 1


async def test_only_a_subject_and_only_new_messages(server, sink):  # noqa: F811
    async with stream(server) as js:
        await publish(js, b"before")
        async with running(made(sink, server, start="new", subject="events.all")):
            await until(lambda: sink.colour == "green")
            await js.publish("events.other", b"other")
            await publish(js, b"after")
            await until(sink.events)
    assert sink.events() == [b"after"]


async def test_an_event_that_is_too_long_is_put_aside(server, sink):  # noqa: F811
    async with stream(server) as js:
        await publish(js, b"x" * 100, b"ok")
        async with running(made(sink, server, max_event_bytes=64)):
            await until(lambda: sink.events() == [b"ok"])
    assert sink.aside[0][2] == b"x" * 64


async def test_a_server_that_goes_away_is_told_and_connected_to_again(tmp_path, sink):
    ours = Server(tmp_path)
    with ours:
        async with stream(ours) as js:
            await publish(js, b"1")
        task = asyncio.create_task(made(sink, ours).run(None))
        await until(lambda: sink.events() == [b"1"])
    await until(lambda: sink.colour == "yellow")
    with ours:
        client = await ours.client()
        await publish(client.jetstream(), b"2")
        await until(lambda: sink.events() == [b"1", b"2"])
        await until(lambda: sink.colour == "green")
        await client.close()
        task.cancel()
        await asyncio.wait({task})


async def test_a_check_finds_the_stream_or_says_why_not(server, sink):  # noqa: F811
    with pytest.raises(ConnectorError, match="stream EVENTS"):
        await made(sink, server).check()
    async with stream(server):
        assert "0 messages" in await made(sink, server).check()
    with pytest.raises(ConnectorError, match="127"):
        await made(sink, server, urls=["nats://127.0.0.1:9"], timeout=1.0).check()


def test_settings_that_do_not_fit_are_told():
    assert "urls:" in NatsSettings(urls=["http://x"], stream="E").problem()
