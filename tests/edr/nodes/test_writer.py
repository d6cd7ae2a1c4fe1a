from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.edr.conftest import until
from tests.edr.nodes.packets import large, packet
from tests.edr.nodes.world import World, world

from deodar.edr.log.packet import block
from deodar.edr.log.schema import TABLE


@pytest.fixture
async def two(shared, engine, stream, tmp_path):
    async with (
        world("one", shared, engine, stream, tmp_path) as one,
        world("two", shared, engine, stream, tmp_path) as two,
    ):
        yield one, two
        await one.connection.jetstream.delete_stream(one.connection.stream)


def ids(*numbers: int, source: str = "a/1") -> list[str]:
    return [f"{source}#{number}.{n}" for number in numbers for n in range(2)]


async def reads(node: World, expected: list[str]) -> None:
    async def it_does():
        return await asyncio.to_thread(node.read) == expected

    await until(it_does)


async def writes(node: World) -> None:
    async def it_does():
        return node.view.writes > 0

    await until(it_does)


async def test_packets_of_each_node_reach_readers_at_each_node_in_order(two):
    one, other = two
    async with one.writer.running(None), other.writer.running(None):
        await one.publisher.append(packet(1))
        await other.publisher.append(packet(2))
        await one.publisher.append(packet(3))
        for node in two:
            await reads(node, ids(1, 2, 3))
    assert sorted(node.view.position.term for node in two) == [1, 1]


async def test_what_is_in_the_log_leaves_the_stream(two):
    one, _ = two
    async with one.writer.running(None):
        await one.publisher.append(packet(1))
        await one.publisher.append(large(2))
        await one.publisher.append(packet(3))

        async def is_empty():
            info = await one.connection.jetstream.stream_info(one.connection.stream)
            return info.state.messages == 0 and info.state.last_seq >= 3

        await until(is_empty)
    assert len(one.read()) == 5


async def test_another_node_takes_over_and_repeats_are_known(two):
    one, other = two
    async with one.writer.running(None):
        for number in (1, 2, 3):
            await one.publisher.append(packet(number))
        await reads(one, ids(1, 2, 3))
    assert other.view.writes == 0
    # A writer that died before it could purge: the packets are in the stream and in the log.
    for number in (2, 3, 4):
        message = packet(number)
        await one.publisher._publish(
            "packet", "a/1", _with_another_id(await _message(one, message), number)
        )
    async with other.writer.running(None):
        await reads(other, ids(1, 2, 3, 4))
        assert other.view.writes == 2


async def _message(node: World, made):
    from deodar.edr.nodes import blocks

    (message,) = blocks.messages(made, node.connection.client.max_payload)
    return message


def _with_another_id(message, number: int):
    from deodar.edr.nodes.blocks import MESSAGE_ID, Message

    return Message({**message.headers, MESSAGE_ID: f"again-{number}"}, message.data)


async def test_a_block_that_comes_too_late_is_seen_by_nobody(two, engine):
    one, other = two
    async with one.writer.running(None):
        await one.publisher.append(packet(1))
        await reads(one, ids(1))
        last = one.view.watermark.value
    await one.publisher.append(packet(2))  # in the stream when the first writer died …
    async with other.writer.running(None):
        await writes(other)
        await reads(other, ids(1, 2))
        late = block([packet(2)], last + 1, 1)  # … and its insert arrives only now
        await asyncio.to_thread(engine.insert, TABLE, late)
        await other.publisher.append(packet(3))
        for node in two:
            await reads(node, ids(1, 2, 3))


async def test_a_block_that_was_in_time_but_not_noted_stays(two, engine):
    one, other = two
    async with one.writer.running(None):
        await one.publisher.append(packet(1))
        await reads(one, ids(1))
        last = one.view.watermark.value
    await one.publisher.append(packet(2))
    await asyncio.to_thread(engine.insert, TABLE, block([packet(2)], last + 1, 1))
    async with other.writer.running(None):
        await reads(other, ids(1, 2))
        await other.publisher.append(packet(3))
        await reads(other, ids(1, 2, 3))


async def test_one_whose_session_ended_loses_its_term_and_nothing_is_lost(two, shared):
    one, other = two
    async with one.writer.running(None), contextlib.AsyncExitStack() as stack:
        await writes(one)
        await stack.enter_async_context(other.writer.running(None))
        with shared.write() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = 'advisory' "
                "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND l.pid <> pg_backend_pid()"
            )
        for number in range(1, 6):
            await one.publisher.append(packet(number))
        for node in two:
            await reads(node, ids(1, 2, 3, 4, 5))
    assert one.view.position.term >= 2


async def test_a_store_that_fails_ends_the_term_and_a_later_one_goes_on(two, engine):
    one, _ = two
    async with one.writer.running(None):
        await writes(one)
        engine.command("RENAME TABLE edr_events TO edr_events_away")
        try:
            await one.publisher.append(packet(1))

            async def ended():
                return one.view.writes == 0

            await until(ended)
        finally:
            engine.command("RENAME TABLE edr_events_away TO edr_events")
        await one.publisher.append(packet(2))
        await reads(one, ids(1, 2))
