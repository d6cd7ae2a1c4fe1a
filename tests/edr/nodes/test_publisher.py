from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.edr.nodes.nats_cluster import free_port
from tests.edr.nodes.packets import large, packet

from deodar.edr.errors import LogFull, LogUnavailable, PartlyTaken
from deodar.edr.log.packet import block
from deodar.edr.log.schema import TABLE, prepare
from deodar.edr.log.voids import Void
from deodar.edr.nodes.blocks import Assembler
from deodar.edr.nodes.connection import Connection
from deodar.edr.nodes.cursor import Cursor
from deodar.edr.nodes.position import Position, Positions
from deodar.edr.nodes.publisher import Publisher


@pytest.fixture
def publisher(connection, shared, engine) -> Publisher:
    prepare(engine)
    return Publisher(connection, Positions(shared), engine)


async def in_stream(connection) -> list[tuple[str, int]]:
    """Return the packets in the stream, in its order."""
    cursor, assembler, found = Cursor(connection), Assembler(), []
    await cursor.begin()
    while messages := await cursor.fetch(100):
        found += filter(None, map(assembler.add, messages))
    await cursor.close()
    return [(one.source, one.number) for one in found]


async def test_a_packet_is_in_the_stream_once_however_often_it_is_sent(publisher, connection):
    assert await publisher.append(packet(1)) is True
    assert await publisher.append(packet(1)) is False
    assert await publisher.append(packet(2)) is True
    assert await in_stream(connection) == [("a/1", 1), ("a/1", 2)]
    assert (publisher.counters.packets, publisher.counters.events, publisher.repeats) == (2, 4, 1)


async def test_a_packet_larger_than_a_message_arrives_whole(publisher, connection):
    assert await publisher.append(large(1)) is True
    assert await publisher.append(packet(2)) is True
    assert await in_stream(connection) == [("a/1", 1), ("a/1", 2)]


async def test_a_full_stream_is_no_room(publisher, connection):
    small = msgspec.structs.replace(connection.settings, max_bytes=1 << 20)
    async with Connection(small, publisher._connection._folder).opened():
        packets = [large(number, size=600_000) for number in range(1, 9)]
        with pytest.raises(LogFull, match="stream between the servers is full"):
            await _all(publisher, packets)
    assert publisher.refused == 1


async def _all(publisher: Publisher, packets) -> None:
    for one in packets:
        await publisher.append(one)


async def test_without_nats_the_packet_must_be_sent_again(shared, engine, stream, tmp_path):
    nowhere = msgspec.structs.replace(
        stream, urls=(f"nats://127.0.0.1:{free_port()}",), timeout=0.5
    )
    async with Connection(nowhere, tmp_path).opened() as opened:
        publisher = Publisher(opened, Positions(shared), engine)
        with pytest.raises(LogUnavailable):
            await publisher.append(packet(1))


async def test_a_combined_packet_whose_first_part_is_in_the_stream_is_told(publisher):
    await publisher.append(packet(5))
    combined = packet(7, first=5)
    for ask in (publisher.append(combined), publisher.knows("a/1", 7, 5)):
        with pytest.raises(PartlyTaken) as told:
            await ask
        assert told.value.committed == 5
    assert await publisher.append(packet(7, first=6)) is True
    assert await publisher.append(packet(7, first=6)) is False
    assert await publisher.knows("a/1", 7, 6) is True


async def test_a_combined_packet_whose_first_part_is_in_the_log_is_told(publisher, engine, shared):
    positions = Positions(shared)
    begun = positions.begin(Position(), 0, "one")
    engine.insert(TABLE, block([packet(5)], begun.seq + 1, 1))
    positions.begin(begun, begun.seq + 2, "two")
    with pytest.raises(PartlyTaken) as told:
        await publisher.append(packet(7, first=5))
    assert told.value.committed == 5
    assert await publisher.append(packet(9, "b/1", first=8)) is True


async def test_what_lies_in_a_void_range_was_not_taken(publisher, engine, shared):
    begun = Positions(shared).begin(Position(), 0, "one")
    assert list(begun.voids) == [Void(0, begun.seq)]
    engine.insert(TABLE, block([packet(5)], 10, 1))
    assert await publisher.append(packet(7, first=5)) is True


async def test_one_that_comes_between_the_look_and_the_packet_is_seen(publisher, monkeypatch):
    look, looks = publisher._look, []

    async def slow(source, number, first):
        found = await look(source, number, first)
        looks.append(found)
        if len(looks) == 1:
            await publisher.append(packet(5))  # another node has just taken it
        return found

    monkeypatch.setattr(publisher, "_look", slow)
    with pytest.raises(PartlyTaken):
        await publisher.append(packet(7, first=5))
    assert len(looks) == 1


async def test_many_who_ask_at_once_share_a_reading_of_the_log(publisher):
    reads = []
    read = publisher._known._read

    def counted() -> None:
        reads.append(1)
        read()

    publisher._known._read = counted
    await asyncio.gather(*(publisher.knows(f"a/{n}", 7, 5) for n in range(50)))
    assert 1 <= len(reads) < 25
