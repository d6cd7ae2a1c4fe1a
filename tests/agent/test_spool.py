from __future__ import annotations

import os
import resource
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.loss import LossBook
from deodar.agent.packets import Header, Packet, Place
from deodar.agent.settings import SpoolSettings
from deodar.agent.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEBIBYTE = 1 << 20
SMALL = SpoolSettings(maximum_bytes=MEBIBYTE, segment_bytes=64 * 1024)


def packet(number: int, events: int = 3, size: int = 100, place: Place | None = None) -> Packet:
    header = Header(events=events, first=number * 10, last=number * 10 + 5, place=place)
    return Packet(header, b"%d " % number + os.urandom(size))


@pytest.fixture
def losses() -> LossBook:
    return LossBook()


@pytest.fixture
def reopen(tmp_path: Path, losses: LossBook) -> Iterator[Callable[[], Spool]]:
    opened: list[Spool] = []

    def again() -> Spool:
        for spool in opened:
            spool.close()
        opened[:] = [Spool(tmp_path / "spool", SMALL, losses)]
        return opened[0]

    yield again
    for spool in opened:
        spool.close()


def test_packets_come_out_in_order_and_as_they_were(reopen: Callable[[], Spool]) -> None:
    spool = reopen()
    packets = [packet(number) for number in range(5)]
    for one in packets:
        spool.put(one)
    after = 0
    for one in packets:
        taken = spool.take(after, 0)
        assert taken is not None
        assert taken.body == one.body
        assert taken.header.events == 3
        assert taken.number > after
        after = taken.number
    assert spool.take(after, 0) is None


def test_packet_stays_until_it_is_acknowledged(reopen: Callable[[], Spool]) -> None:
    spool = reopen()
    spool.put(packet(1))
    spool.put(packet(2))
    first = spool.take(0, 0)
    assert first is not None
    identity = spool.identity
    spool = reopen()
    again = spool.take(0, 0)
    assert again == first
    assert spool.identity == identity
    spool.acknowledge(first)
    assert spool.state().packets == 1
    assert spool.state().events == 3


def test_counts_are_right_after_a_restart(reopen: Callable[[], Spool], losses: LossBook) -> None:
    spool = reopen()
    for number in range(4):
        spool.put(packet(number, events=number + 1))
    taken = spool.take(0, 0)
    assert taken is not None
    spool.acknowledge(taken)
    spool = reopen()
    assert spool.state().events == 2 + 3 + 4
    assert losses.totals() == {}


def test_place_is_remembered_even_when_all_is_delivered(reopen: Callable[[], Spool]) -> None:
    spool = reopen()
    assert spool.place is None
    place = Place("/file", 1, 2, 300)
    spool.put(packet(1, place=place))
    spool.put(packet(2))
    assert spool.place == place
    after = 0
    while (taken := spool.take(after, 0)) is not None:
        spool.acknowledge(taken)
        after = taken.number
    assert reopen().place == place


def test_full_spool_drops_the_oldest_and_counts_their_events(
    reopen: Callable[[], Spool], losses: LossBook
) -> None:
    spool = reopen()
    for number in range(60):
        spool.put(packet(number, events=7, size=30_000))
    state = spool.state()
    assert state.bytes <= MEBIBYTE
    assert state.events + losses.totals()["spool"] == 60 * 7
    assert state.events == state.packets * 7
    first = spool.take(0, 0)
    assert first is not None
    assert first.header.first > 0
    (loss,) = losses.take()
    assert "full" in loss.reason
    assert loss.first_ns == 0 or loss.first_ns < loss.last_ns
    assert loss.last_ns <= first.header.first * 1000


def test_packet_that_was_dropped_while_on_its_way_does_no_harm(
    reopen: Callable[[], Spool], losses: LossBook
) -> None:
    spool = reopen()
    spool.put(packet(0, size=30_000))
    on_its_way = spool.take(0, 0)
    assert on_its_way is not None
    for number in range(1, 60):
        spool.put(packet(number, size=30_000))
    lost = losses.totals()["spool"]
    spool.acknowledge(on_its_way)
    assert losses.totals()["spool"] == lost
    assert spool.state().events + lost == 60 * 3


def test_packet_larger_than_the_spool_is_lost_alone(
    reopen: Callable[[], Spool], losses: LossBook
) -> None:
    spool = reopen()
    spool.put(packet(1, size=2 * MEBIBYTE))
    spool.put(packet(2))
    assert spool.state().packets == 1
    assert losses.totals() == {"spool": 3}
    (loss,) = losses.take()
    assert "larger" in loss.reason


def test_waiting_for_a_packet_ends_when_one_comes(reopen: Callable[[], Spool]) -> None:
    spool = reopen()
    timer = threading.Timer(0.05, spool.put, [packet(1)])
    timer.start()
    assert spool.take(0, 20) is not None
    timer.join()


def test_damaged_packet_is_counted_when_the_next_one_is_settled(
    tmp_path: Path, reopen: Callable[[], Spool], losses: LossBook
) -> None:
    spool = reopen()
    for number in range(3):
        spool.put(packet(number, events=5, size=1000))
    (segment,) = [path for path in (tmp_path / "spool").iterdir() if path.stat().st_size > 3000]
    spool.close()
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0xFF
    segment.write_bytes(content)
    spool = reopen()
    settled, after = 0, 0
    while (taken := spool.take(after, 0)) is not None:
        spool.acknowledge(taken)
        settled, after = settled + taken.header.events, taken.number
    assert settled == 10
    assert losses.totals() == {"spool": 5}


@pytest.fixture
def full_disk() -> Iterator[Callable[[bool], None]]:
    """A disk that takes no more bytes: files may not grow beyond their size."""
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def switch(full: bool) -> None:
        limit = (0, before[1]) if full else before
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    yield switch
    switch(False)
    signal.signal(signal.SIGXFSZ, handler)


def test_disk_that_takes_nothing_is_survived(
    reopen: Callable[[], Spool], losses: LossBook, full_disk: Callable[[bool], None]
) -> None:
    spool = reopen()
    spool.put(packet(0))
    full_disk(True)
    for number in range(1, 4):
        spool.put(packet(number))
    full_disk(False)
    held = spool.state()
    assert held.held_packets == 3
    assert held.disk_error
    assert held.events == 12
    spool.settle()
    state = spool.state()
    assert (state.held_packets, state.disk_error, state.packets, state.events) == (0, "", 4, 12)
    bodies = []
    after = 0
    while (taken := spool.take(after, 0)) is not None:
        bodies.append(taken.body.split()[0])
        after = taken.number
    assert bodies == [b"0", b"1", b"2", b"3"]
    assert losses.totals() == {}


def test_memory_for_what_the_disk_does_not_take_is_bounded(
    tmp_path: Path, losses: LossBook, full_disk: Callable[[bool], None]
) -> None:
    settings = msgspec.structs.replace(SMALL, memory_bytes=MEBIBYTE)
    spool = Spool(tmp_path / "spool", settings, losses)
    full_disk(True)
    for number in range(50):
        spool.put(packet(number, size=100_000))
    full_disk(False)
    held = spool.state().held_packets
    assert held * 100_000 <= MEBIBYTE
    assert losses.totals() == {"spool": (50 - held) * 3}
    spool.close()


def test_compressed_body_is_stored_as_it_is(reopen: Callable[[], Spool]) -> None:
    body = zstandard.compress(b'{"a":1}\n')
    spool = reopen()
    spool.put(Packet(Header(events=1, first=1, last=1), body))
    taken = spool.take(0, 0)
    assert taken is not None
    assert zstandard.decompress(taken.body) == b'{"a":1}\n'


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 150_000)),
        st.tuples(st.just("deliver"), st.integers(1, 30)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=60,
)


@hypothesis.settings(max_examples=80, deadline=None)
@given(OPERATIONS)
def test_every_event_is_waiting_delivered_or_counted_as_lost(
    operations: list[tuple[str, int]],
) -> None:
    losses = LossBook()
    small = SpoolSettings(maximum_bytes=MEBIBYTE, segment_bytes=64 * 1024, sync=False)
    put, delivered = 0, []
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), small, losses)
        for name, number in operations:
            if name == "put":
                put += 1
                spool.put(packet(put, events=put, size=number))
            elif name == "deliver":
                delivered += deliver(spool, number)
            else:
                spool.close()
                spool = Spool(Path(folder), small, losses)
        waiting = spool.state().events
        spool.close()
    assert sum(delivered) + waiting + losses.totals().get("spool", 0) == put * (put + 1) // 2
    assert delivered == sorted(set(delivered))


def deliver(spool: Spool, most: int) -> list[int]:
    events, after = [], 0
    while len(events) < most and (taken := spool.take(after, 0)) is not None:
        spool.acknowledge(taken)
        events.append(taken.header.events)
        after = taken.number
    return events
