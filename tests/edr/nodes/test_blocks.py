from __future__ import annotations

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.edr.nodes.packets import large, packet

from deodar.edr.errors import BlockProblem
from deodar.edr.nodes.blocks import (
    HEAD_BYTES,
    KEPT_SECONDS,
    MESSAGE_ID,
    Assembler,
    Message,
    Received,
    messages,
)

ROOM = 1 << 20


def received(made: list[Message], first: int = 1, time: float = 1000.0) -> list[Received]:
    return [Received(first + n, time, one.headers, one.data) for n, one in enumerate(made)]


def same(one, other) -> bool:
    told = [(p.source, p.number, p.first, p.raw, p.fields) for p in (one, other)]
    return told[0] == told[1]


@settings(deadline=None)
@given(st.text(min_size=1), st.integers(1, 2**60), st.integers(0, 9), st.integers(1, 50))
def test_a_packet_comes_out_as_it_went_in(source, number, first, count):
    given_ = packet(number, source, count, first)
    (message,) = received(messages(given_, ROOM))
    assert same(Assembler().add(message), given_)


def test_a_repeat_has_the_same_id_and_another_packet_another_one():
    ids = [messages(packet(n), ROOM)[0].headers[MESSAGE_ID] for n in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]


def test_a_packet_larger_than_a_message_goes_in_parts_among_others():
    one, two = large(1), large(1)
    parts, others = messages(one, ROOM), messages(two, ROOM)
    assert len(parts) > 2
    assert max(len(part.data) for part in parts) <= ROOM - HEAD_BYTES
    assert len({part.headers[MESSAGE_ID] for part in parts + others}) == 2 * len(parts)
    assembler = Assembler()
    mixed = received([part for pair in zip(parts, others, strict=True) for part in pair])
    found = [assembler.add(part) for part in mixed]
    assert [one is not None for one in found] == [False] * (len(found) - 2) + [True, True]
    assert same(found[-2], one)


def test_parts_are_needed_until_their_packet_is_released():
    parts = received(messages(large(1), ROOM), first=7)
    assembler = Assembler()
    assert assembler.oldest is None
    for part in parts:
        assembler.add(part)
        assert assembler.oldest == 7
    assembler.release(parts[-1])
    assert assembler.oldest is None


def test_parts_whose_last_one_never_comes_are_given_up_in_the_end():
    first = received(messages(large(1), ROOM))[0]
    (later,) = received(messages(packet(2), ROOM), 2, first.time + KEPT_SECONDS)
    (last,) = received(messages(packet(3), ROOM), 3, first.time + KEPT_SECONDS + 1)
    assembler = Assembler()
    assembler.add(first)
    assembler.add(later)
    assert (assembler.oldest, assembler.given_up) == (1, 0)
    assembler.add(last)
    assert (assembler.oldest, assembler.given_up) == (None, 1)


def test_a_missing_part_is_told():
    parts = received(messages(large(1), ROOM))
    with pytest.raises(BlockProblem, match=r"parts \[1, 2"):
        Assembler().add(parts[-1])


@pytest.mark.parametrize("header", ["Deodar-Source", "Deodar-Packet", "Deodar-Packet-First"])
def test_a_missing_header_is_told(header):
    (message,) = received(messages(packet(1), ROOM))
    headers = {name: value for name, value in message.headers.items() if name != header}
    with pytest.raises(BlockProblem, match=header):
        Assembler().add(Received(1, 0, headers, message.data))


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_damaged_blocks_are_told_and_nothing_else_happens(data, packed):
    (message,) = received(messages(packet(1), ROOM))
    odd = zstandard.compress(data) if packed else data
    with pytest.raises(BlockProblem):
        Assembler().add(Received(1, 0, message.headers, odd))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_told_or_changes_an_event_at_most(at, value):
    (message,) = received(messages(packet(1, count=40), ROOM))
    data = bytearray(message.data)
    data[at % len(data)] = value
    try:
        found = Assembler().add(Received(1, 0, message.headers, bytes(data)))
    except BlockProblem:
        return
    assert found is not None
    assert found.raw.type == pa.string()


def test_a_block_with_a_column_of_the_servers_own_is_none():
    batch = pa.RecordBatch.from_pydict({"seq": pa.array([1]), "raw": pa.array(["{}"])})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    (message,) = received(messages(packet(1), ROOM))
    with pytest.raises(BlockProblem, match="no events"):
        Assembler().add(Received(1, 0, message.headers, zstandard.compress(sink.getvalue())))
