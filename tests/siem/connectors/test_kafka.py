"""Kafka topics of a real broker process, with restarts between journal and commit."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl

import pytest
from tests.siem.connectors.kept import KeptSink, free_port, running, until
from tests.siem.connectors.test_tcp import certificates  # noqa: F401 - a fixture
from tests.siem.kafka_broker import Broker, KeepingBroker

from deodar.siem.connectors import kafka
from deodar.siem.connectors.backoff import Backoff
from deodar.siem.connectors.kafka import KafkaConnector, KafkaSettings
from deodar.siem.destinations.trust import TlsSettings
from deodar.siem.errors import ConnectorError


@pytest.fixture
def sink():
    return KeptSink()


@pytest.fixture
def broker(tmp_path):
    with KeepingBroker(tmp_path) as broker:
        yield broker


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(kafka, "_BACKOFF", Backoff(0.05, 0.2))


def made(sink, broker, **changes) -> KafkaConnector:
    settings = KafkaSettings(**{"brokers": [broker.address], "topics": ["t"], **changes})
    assert settings.problem() == ""
    return KafkaConnector(settings, broker.folder, sink)


async def test_a_broker_of_others_is_read_too(tmp_path, sink):
    with Broker(tmp_path) as broker:
        await broker.make("t", 3)
        await broker.produce("t", *(b"%d" % n for n in range(30)))
        async with running(made(sink, broker)):
            await until(lambda: len(sink.events()) == 30, 40)


async def test_every_partition_is_read_and_read_on_from_the_journals_offsets(broker, sink):
    await broker.make("t", 3)
    for partition in range(3):
        numbers = range(100 * partition, 100 * partition + 100)
        await broker.produce("t", *(b"%d" % n for n in numbers), partition=partition)
    async with running(made(sink, broker)):
        await until(lambda: len(sink.events()) == 300)
    assert sorted(sink.events(), key=int) == [b"%d" % n for n in range(300)]
    assert {source for source, _ in sink.arrived()} == {"t/0", "t/1", "t/2"}
    await broker.produce("t", b"later")
    async with running(made(sink, broker), sink.state):
        await until(lambda: len(sink.events()) == 301)
    assert sink.events()[-1] == b"later"


async def test_what_was_committed_by_nobody_is_known_from_the_journal(broker, sink):
    """Killed after the journal took events and before the commit: they are not taken again."""
    await broker.make("t", 1)
    await broker.produce("t", b"1", b"2")
    async with running(made(sink, broker, group="first")):
        await until(lambda: len(sink.events()) == 2)
    await broker.produce("t", b"3")
    async with running(made(sink, broker, group="never committed"), sink.state):
        await until(lambda: len(sink.events()) == 3)
    assert sink.events() == [b"1", b"2", b"3"]


async def test_a_full_journal_holds_fetching_back(broker, sink):
    await broker.make("t", 1)
    await broker.produce("t", b"1")
    sink.open.clear()
    async with running(made(sink, broker)):
        await until(sink._lock.locked)
        sink.open.set()
        await until(lambda: sink.events() == [b"1"])


async def test_lines_packed_messages_tombstones_and_what_is_unusable(broker, sink):
    await broker.make("t", 1)
    packed = [("Content-Encoding", b"gzip")]
    await broker.produce("t", b"a\nb\n", None, b"x" * 100)
    await broker.produce("t", gzip.compress(b"c\nd"), b"broken", headers=packed)
    async with running(made(sink, broker, layout="lines", max_event_bytes=64)):
        await until(lambda: len(sink.events()) == 4 and len(sink.aside) == 2)
    assert sink.events() == [b"a", b"b", b"c", b"d"]
    assert {body for _, _, body in sink.aside} == {b"x" * 64, b"broken"}
    assert sink.counts == {
        "partitions_assigned": 1,
        "tombstones": 1,
        "too_long": 1,
        "unusable": 1,
    }


async def test_from_the_latest_only_new_messages_come(broker, sink):
    await broker.make("t", 1)
    await broker.produce("t", b"old")
    async with running(made(sink, broker, start="latest")):
        await until(lambda: sink.counts.get("partitions_assigned"))
        await broker.produce("t", b"new")
        await until(sink.events)
    assert sink.events() == [b"new"]


async def test_a_broker_that_goes_away_is_told_and_come_back_to(tmp_path, sink):
    broker = KeepingBroker(tmp_path)
    connector = made(sink, broker, timeout=8.0)
    task = asyncio.create_task(connector.run(None))
    await until(lambda: sink.colour == "yellow")
    with broker:
        await broker.make("t", 1)
        await broker.produce("t", b"1")
        await until(lambda: sink.events() == [b"1"], 40)
        await until(lambda: sink.colour == "green")
        task.cancel()
        await asyncio.wait({task})


async def test_a_check_finds_the_topic_or_says_why_not(broker, sink):
    with pytest.raises(ConnectorError, match="no topic t"):
        await made(sink, broker).check()
    await broker.make("t", 1)
    assert "has t" in await made(sink, broker).check()
    with pytest.raises(ConnectorError, match="127"):
        await made(sink, broker, brokers=["127.0.0.1:9"], timeout=1.0).check()


@contextlib.asynccontextmanager
async def tls_front(port, folder, target):
    """Speak TLS at a port and pass on what is said to a broker that does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "listen.pem")

    async def pump(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader, writer):
        inner = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, inner[1]), pump(inner[0], writer))

    async with await asyncio.start_server(connected, "127.0.0.1", port, ssl=context):
        yield


async def test_tls_is_spoken_with_brokers_that_are_known(certificates, sink):  # noqa: F811
    port = free_port()
    with Broker(certificates, advertised_port=port) as broker:
        async with tls_front(port, certificates, broker.port):
            changes = {"brokers": [f"127.0.0.1:{port}"], "security": "tls", "timeout": 5.0}
            known = made(sink, broker, tls=TlsSettings(ca="ca.pem"), **changes)
            with pytest.raises(ConnectorError, match="no topic t"):
                await known.check()
            stranger = made(sink, broker, tls=TlsSettings(pins=["ab" * 32]), **changes)
            with pytest.raises(ConnectorError, match=r"another server|bootstrap"):
                await stranger.check()


def test_settings_that_do_not_fit_are_told():
    assert "topics" in KafkaSettings(brokers=["h:1"], topics=[]).problem()
