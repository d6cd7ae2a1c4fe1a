from __future__ import annotations

import pytest

from deodar.edr.errors import StreamProblem
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
