"""The ring's walk on rings made by hand: wrap, busy, discarded, limits."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.sensors.ring import BUSY, DISCARDED, PAGE, Ring

SIZE = 4096


class Made:
    """A ring as the kernel would leave it, over plain memory."""

    def __init__(self, at=0):
        self.consumer = memoryview(bytearray(8)).cast("Q")
        self.data = bytearray(PAGE + SIZE)
        self.producer = memoryview(self.data).cast("Q")
        self.consumer[0] = self.producer[0] = at
        self.ring = Ring(self.consumer, self.producer, self.data, SIZE)

    def put(self, content, flags=0):
        position = self.producer[0]
        record = struct.pack("<II", len(content) | flags, 0) + content
        for i, byte in enumerate(record):
            at = PAGE + (position + i) % SIZE
            self.data[at] = byte
        self.producer[0] = position + (len(record) + 7) // 8 * 8

    def take_all(self, limit=100):
        taken = []
        self.ring.drain(lambda data, at, length: taken.append(bytes(data[at : at + length])), limit)
        return taken


@given(st.lists(st.binary(max_size=300), max_size=12), st.integers(0, 10**6))
def test_records_come_out_as_they_went_in(contents, start):
    made = Made(at=start * 8)
    for content in contents:
        made.put(content)
    assert made.ring.waiting() == bool(contents)
    assert made.take_all() == contents
    assert made.consumer[0] == made.producer[0]
    assert made.take_all() == []


@pytest.mark.parametrize("before_the_end", [8, 16, 24, 104, 112])
def test_record_that_wraps_comes_in_one_piece(before_the_end):
    made = Made(at=SIZE - before_the_end)
    content = bytes(range(100))
    made.put(content)
    made.put(b"next")
    assert made.take_all() == [content, b"next"]


def test_record_that_is_being_written_stops_the_walk():
    made = Made()
    made.put(b"one")
    made.put(b"two", BUSY)
    made.put(b"three")
    assert made.take_all() == [b"one"]
    struct.pack_into("<I", made.data, PAGE + 16, 3)
    assert made.take_all() == [b"two", b"three"]


def test_discarded_record_is_passed_over():
    made = Made()
    made.put(b"one", DISCARDED)
    made.put(b"two")
    assert made.take_all() == [b"two"]


def test_limit_leaves_the_rest_for_later():
    made = Made()
    for content in (b"one", b"two", b"three"):
        made.put(content)
    assert made.take_all(limit=2) == [b"one", b"two"]
    assert made.take_all() == [b"three"]


def test_failing_reader_does_not_get_the_same_record_again():
    made = Made()
    made.put(b"bad")
    made.put(b"good")

    def fail(data, at, length):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        made.ring.drain(fail, 10)
    assert made.take_all() == [b"good"]


def test_close_releases_the_memory():
    made = Made()
    made.ring.close()
    with pytest.raises(ValueError, match="released"):
        made.ring.waiting()
