from __future__ import annotations

import asyncio
import dataclasses

import msgspec
from tests.edr.conftest import until
from tests.edr.nodes.packets import packet
from tests.edr.nodes.world import world

from deodar.edr.nodes.blocks import FIRST, PACKET, SOURCE


async def test_what_is_no_block_becomes_a_dead_letter_and_the_rest_goes_on(
    shared, engine, stream, tmp_path
):
    async with world("one", shared, engine, stream, tmp_path) as node:
        subject = node.connection.subject("packet", "x")
        headers = {SOURCE: b"a/1".hex(), PACKET: "1", FIRST: "0"}
        await node.connection.jetstream.publish(subject, b"no block", headers=headers)
        await node.publisher.append(packet(2))
        async with node.writer.running(None):

            async def there():
                return len(node.read()) == 2

            await until(there)
        (letter,) = node.desk.dead_letters.list()
        assert letter.letter.raw == b"no block"
        assert "damaged" in letter.letter.reason
        await node.connection.jetstream.delete_stream(node.connection.stream)


async def test_a_slow_store_lets_the_stream_fill_and_not_the_process(
    shared, engine, stream, tmp_path
):
    async with world("one", shared, engine, stream, tmp_path) as node:
        bounds = msgspec.structs.replace(node.desk.bounds, queue_events=40, group_delay=0.2)
        node.writer._desk = dataclasses.replace(node.desk, bounds=bounds)
        await asyncio.gather(
            *(node.publisher.append(packet(1, f"a/{n}", count=10)) for n in range(30))
        )
        async with node.writer.running(None):

            async def there():
                return len(node.read()) == 300

            await until(there)
        await node.connection.jetstream.delete_stream(node.connection.stream)
