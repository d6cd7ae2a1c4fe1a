from __future__ import annotations

import time

import zstandard

from deodar.agent.batch import NEVER, Batch
from deodar.agent.settings import TransferSettings


def body(packed: bytes) -> list[bytes]:
    return zstandard.ZstdDecompressor().stream_reader(packed).readall().splitlines()


def test_packet_has_the_lines_in_order_and_says_what_is_in_it() -> None:
    batch = Batch(TransferSettings())
    batch.add(b"1", 300, "medium", 60)
    batch.add(b"2", 100, "low", 60)
    batch.add(b"3", 200, "high", 60, report="id-of-a-loss")
    assert len(batch) == 3
    packet = batch.take()
    header = packet.header
    assert body(packet.body) == [b"1", b"2", b"3"]
    assert (header.events, header.first, header.last) == (3, 100, 300)
    assert (header.low, header.medium, header.high, header.urgent) == (1, 1, 1, True)
    assert header.reports == ("id-of-a-loss",)


def test_it_begins_anew_after_each_packet() -> None:
    batch = Batch(TransferSettings())
    batch.add(b"1", 300, "high", 60, report="x")
    batch.take()
    assert (len(batch), batch.due) == (0, NEVER)
    batch.add(b"2", 5, "low", 60)
    header = batch.take().header
    assert (header.first, header.last, header.high, header.reports) == (5, 5, 0, ())


def test_the_first_event_says_until_when_it_waits() -> None:
    batch = Batch(TransferSettings())
    before = time.monotonic()
    batch.add(b"1", 1, "medium", 1.0)
    due = batch.due
    assert 1.0 <= due - before < 2.0
    batch.add(b"2", 1, "medium", 0.1)
    assert batch.due == due


def test_event_of_high_importance_does_not_wait() -> None:
    batch = Batch(TransferSettings())
    batch.add(b"1", 1, "medium", 60)
    batch.add(b"2", 1, "high", 60)
    batch.add(b"3", 1, "low", 60)
    assert batch.due == 0.0


def test_room_ends_with_events_or_bytes() -> None:
    few = Batch(TransferSettings(enough_events=2))
    short = Batch(TransferSettings(maximum_bytes=1024))
    long = b"x" * 2000
    assert short.has_room(long)  # one has to fit, however long
    for batch, line in ((few, b"x"), (short, b"x" * 512)):
        assert batch.has_room(line)
        batch.add(line, 1, "low", 1)
    assert few.has_room(b"x")
    few.add(b"x", 1, "low", 1)
    assert not few.has_room(b"x")
    assert not short.has_room(b"x" * 512)
