from __future__ import annotations

import msgspec
import pytest
from tests.edr.nodes.nats_cluster import free_port

from deodar.edr.errors import LogUnavailable, StreamProblem
from deodar.edr.nodes import cursor as cursors
from deodar.edr.nodes.connection import Connection
from deodar.edr.nodes.cursor import Cursor


async def fill(connection, first: int, count: int) -> None:
    for number in range(first, first + count):
        await connection.jetstream.publish(connection.subject("packet", "x"), b"%d" % number)


async def fetched(cursor: Cursor, count: int) -> list[int]:
    found: list[int] = []
    for _ in range(40):
        found += [int(message.data) for message in await cursor.fetch(7)]
        if len(found) >= count:
            break
    return found


async def test_messages_come_in_order_from_the_oldest_on(connection):
    await fill(connection, 1, 20)
    cursor = Cursor(connection)
    assert await cursor.begin() == 1
    assert await fetched(cursor, 20) == list(range(1, 21))
    await fill(connection, 21, 3)
    assert await fetched(cursor, 3) == [21, 22, 23]
    await cursor.close()


async def test_what_was_purged_is_gone_for_the_next_one(connection):
    await fill(connection, 1, 10)
    cursor = Cursor(connection)
    await cursor.begin()
    await fetched(cursor, 10)
    await cursor.purge(6)
    await cursor.purge(5)
    await cursor.close()
    other = Cursor(connection)
    assert await other.begin() == 7
    assert await fetched(other, 4) == [7, 8, 9, 10]
    await other.purge(10)
    await other.close()
    assert await Cursor(connection).begin() == 11


async def test_a_consumer_that_died_is_replaced_and_nothing_is_left_out(connection):
    await fill(connection, 1, 10)
    cursor = Cursor(connection)
    await cursor.begin()
    found = [int(message.data) for message in await cursor.fetch(4)]
    (consumer,) = await connection.jetstream.consumers_info(connection.stream)
    await connection.jetstream.delete_consumer(connection.stream, consumer.name)
    assert found + await fetched(cursor, 10 - len(found)) == list(range(1, 11))
    await cursor.close()


async def test_a_message_that_is_missing_in_between_is_a_problem(connection):
    await fill(connection, 1, 10)
    cursor = Cursor(connection)
    await cursor.begin()
    await connection.jetstream.purge_stream(connection.stream)
    with pytest.raises(StreamProblem, match="message 1 is not in the stream"):
        await fetched(cursor, 1)
    await cursor.close()


async def test_nothing_new_is_nothing(connection):
    cursor = Cursor(connection)
    await cursor.begin()
    assert await cursor.fetch(5) == []
    await cursor.close()


async def test_one_that_cannot_reach_the_stream_for_long_gives_up(
    connection, stream, tmp_path, monkeypatch
):
    monkeypatch.setattr(cursors, "_GIVE_UP", 0.1)
    away = msgspec.structs.replace(stream, urls=(f"nats://127.0.0.1:{free_port()}",), timeout=0.5)
    cursor = Cursor(connection)
    await cursor.begin()
    async with Connection(away, tmp_path).opened() as nowhere:
        cursor._connection = nowhere
        assert await cursor.fetch(1) == []
        with pytest.raises(LogUnavailable, match="cannot be read"):
            await fetched(cursor, 1)
