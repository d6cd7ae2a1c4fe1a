"""Events into a topic of a real broker process, over TLS and with SASL too."""

from __future__ import annotations

import json

import pytest
from tests.siem.batches import batch
from tests.siem.kafka_broker import KeepingBroker

from deodar.siem.destinations.kafka import KafkaDestination, KafkaSettings
from deodar.siem.errors import DestinationRefused, DestinationUnavailable


@pytest.fixture
def broker(tmp_path):
    with KeepingBroker(tmp_path) as broker:
        yield broker


def opened(broker, **changes) -> KafkaDestination:
    changes = {"brokers": [broker.address], "timeout": 10.0, **changes}
    settings = KafkaSettings(name="x", kind="kafka", topic="t", **changes)
    assert settings.problem() == ""
    return KafkaDestination(settings, broker.folder)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_each_event_is_a_message_with_key_and_headers(broker, compression):
    await broker.make("t", 3)
    destination = opened(broker, compression=compression)
    assert "topic t has 3 partitions" in await destination.check()
    assert await destination.deliver(batch(20)) > 0
    await destination.close()
    found = await broker.consume("t", 20)
    events = [json.loads(record.value) for record in found]
    assert [event["ID"] for event in events] == [f"id-{n}" for n in range(20)]
    assert {record.key for record in found} == {b"host-1"}
    assert len({record.partition for record in found}) == 1
    assert dict(found[7].headers) == {"deodar-batch": b"batch-1", "deodar-event": b"id-7"}


async def test_a_message_that_is_too_long_is_refused_and_the_others_are_there(broker):
    await broker.make("t", 1)
    destination = opened(broker, max_message_bytes=4096, compression="none")
    long = batch(3, "b1", FilePath="x" * 5000)
    with pytest.raises(DestinationRefused, match="no message of") as caught:
        await destination.deliver(long)
    assert caught.value.rows == len(caught.value.letters) == 3
    assert json.loads(caught.value.letters[0].raw)["ID"] == "id-0"
    await destination.deliver(batch(2, "b2"))
    await destination.close()
    found = await broker.consume("t", 2)
    assert {dict(record.headers)["deodar-batch"] for record in found} == {b"b2"}


async def test_a_broker_that_is_away_is_no_delivery_and_comes_back(tmp_path):
    broker = KeepingBroker(tmp_path)
    destination = opened(broker, timeout=1.0)
    with pytest.raises(DestinationUnavailable, match="Kafka 127"):
        await destination.deliver(batch(1, "b1"))
    with broker:
        await broker.make("t", 1)
        await destination.deliver(batch(1, "b1"))
    with pytest.raises(DestinationUnavailable):
        await destination.deliver(batch(1, "b2"))
    with broker:
        await destination.deliver(batch(1, "b2"))
        found = await broker.consume("t", 2)
    await destination.close()
    assert [dict(record.headers)["deodar-batch"] for record in found] == [b"b1", b"b2"]


async def test_much_goes_in_parts(broker):
    await broker.make("t", 1)
    destination = opened(broker, key="", form="ecs")
    await destination.deliver(batch(5000))
    await destination.close()
    found = await broker.consume("t", 5000)
    assert len(found) == 5000
    assert {record.key for record in found} == {None}


@pytest.mark.parametrize(
    ("change", "words"), [({"key": "Colour"}, "key:"), ({"brokers": ["x"]}, "brokers:")]
)
def test_settings_that_do_not_fit_are_told(change, words):
    settings = {"name": "x", "kind": "kafka", "topic": "t", "brokers": ["h:1"], **change}
    assert words in KafkaSettings(**settings).problem()
