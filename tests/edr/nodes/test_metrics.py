from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from tests.edr.nodes.packets import packet
from tests.edr.nodes.world import world

from deodar.edr.nodes.node import Node
from deodar.edr.nodes.register import Presence, Register


async def test_repeats_and_the_term_are_shown(shared, engine, stream, tmp_path):
    async with world("one", shared, engine, stream, tmp_path) as made:
        await made.publisher.append(packet(1))
        await made.publisher.append(packet(1))
        presence = Presence(Register(shared), "one")
        node = Node(made.view, made.publisher, made.writer, made.connection, presence)
        registry = CollectorRegistry()
        registry.register(node.metrics())
        text = generate_latest(registry).decode()
        await made.connection.jetstream.delete_stream(made.connection.stream)
    for line in ("stream_repeats_total 1.0", "writes 0.0", "stream_usable 1.0", "term 0.0"):
        assert f"deodar_edr_{line}" in text
