from __future__ import annotations

import pytest
from tests.edr.conftest import until
from tests.edr.nodes.world import world

from deodar.edr import writer_lock
from deodar.edr.errors import NotWriter
from deodar.edr.nodes.follower import LOOK_EVERY, SUBJECT, told
from deodar.edr.nodes.position import Position, Positions, confirm


@pytest.fixture
async def node(shared, engine, stream, tmp_path):
    async with world("one", shared, engine, stream, tmp_path) as made:
        yield made
        await made.connection.jetstream.delete_stream(made.connection.stream)


async def test_what_the_writer_tells_is_seen_at_once(node, shared):
    begun = Positions(shared).begin(Position(), 0, "two")
    await node.view.look()
    assert node.view.watermark.value == begun.seq
    await node.connection.tell(node.connection.subject(SUBJECT), told(1, begun.seq + 5))
    assert await node.view.watermark.reached(begun.seq + 5, LOOK_EVERY / 2)


async def test_what_was_not_heard_is_asked_for(node, shared):
    lock = shared.session_lock(writer_lock.KEY)
    lock.take()
    begun = Positions(shared).begin(Position(), 0, "two")
    confirm(lock, 1, begun.seq + 7)
    assert await node.view.watermark.reached(begun.seq + 7, LOOK_EVERY * 5)
    lock.release()


async def test_of_another_term_the_void_range_is_known_before_the_number(node, shared):
    begun = Positions(shared).begin(Position(), 10, "two")
    await node.view.hear(told(1, begun.seq + 3))
    assert node.view.watermark.value < begun.seq  # not before the database was asked

    async def seen():
        return node.view.watermark.value == begun.seq

    await until(seen)
    assert node.view.voids == begun.voids


async def test_what_is_no_word_of_the_writer_is_passed_over(node):
    await node.view.hear(b"\xff\xff")
    await node.view.hear(told(0, 0))
    assert node.view.watermark.value == 0


async def test_only_the_writer_may_drop_and_all_nodes_know_the_floor(node, shared):
    begun = Positions(shared).begin(Position(), 0, "one")
    assert not node.view.may_drop
    with pytest.raises(NotWriter):
        node.view.give_up(5)
    node.view.writes = begun.term
    node.view.give_up(begun.seq + 2)
    assert node.view.floor == begun.seq + 2
    assert Positions(shared).read().floor == begun.seq + 2
