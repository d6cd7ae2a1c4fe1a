from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import zstandard
from tests.agent.spool.world import MEBIBYTE, World, failing_disk, line, numbers
from tests.agent.spool.world import packet as events

from deodar.agent.loss import LossBook
from deodar.agent.packets import Header, Packet, Place
from deodar.agent.settings import SpoolSettings
from deodar.agent.spool import STOPPED, Spool
from deodar.kit.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        taken = spool.take(after, max_events=1)
        assert taken is not None
        assert taken.body == one.body
        assert taken.events == 3
        assert taken.last > after
        after = taken.last
    assert spool.take(after, max_events=1) is None


def test_packet_stays_until_it_is_acknowledged(reopen: Callable[[], Spool]) -> None:
    spool = reopen()
    spool.put(packet(1))
    spool.put(packet(2))
    first = spool.take(0, max_events=1)
    assert first is not None
    identity = spool.identity
    spool = reopen()
    again = spool.take(0, max_events=1)
    assert again == first
    assert spool.identity == identity
    spool.acknowledge(first)
    assert spool.state().packets == 1
    assert spool.state().events == 3


def test_counts_are_right_after_a_restart(reopen: Callable[[], Spool], losses: LossBook) -> None:
    spool = reopen()
    for number in range(4):
        spool.put(packet(number, events=number + 1))
    taken = spool.take(0, max_events=1)
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
    while (taken := spool.take(after, max_events=1)) is not None:
        spool.acknowledge(taken)
        after = taken.last
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
    first = spool.take(0, max_events=1)
    assert first is not None
    assert first.first_time > 0
    (loss,) = losses.take()
    assert "full" in loss.reason
    assert loss.first_ns == 0 or loss.first_ns < loss.last_ns
    assert loss.last_ns <= first.first_time * 1000


def test_packet_on_its_way_is_not_dropped(reopen: Callable[[], Spool], losses: LossBook) -> None:
    spool = reopen()
    spool.put(packet(0, size=30_000))
    on_its_way = spool.take(0, max_events=1)
    assert on_its_way is not None
    for number in range(1, 60):
        spool.put(packet(number, size=30_000))
    lost = losses.totals()["spool"]
    assert spool.take(0) == on_its_way
    spool.acknowledge(on_its_way)
    assert losses.totals()["spool"] == lost
    assert spool.state().events + lost == 59 * 3


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
    assert spool.take(0, timeout=20) is not None
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
    while (taken := spool.take(after, max_events=1)) is not None:
        spool.acknowledge(taken)
        settled, after = settled + taken.events, taken.last
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
    while (taken := spool.take(after, max_events=1)) is not None:
        bodies.append(taken.body.split()[0])
        after = taken.last
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
    taken = spool.take(0, max_events=1)
    assert taken is not None
    assert zstandard.decompress(taken.body) == b'{"a":1}\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, SMALL)


# What the server says


def test_server_may_have_a_part_of_a_batch(world: World) -> None:
    for number in range(5):
        world.spool.put(events([number]))
    batch = world.spool.take(0)
    assert batch is not None
    world.spool.acknowledge_to(3)
    assert world.spool.state().events == 2
    rest = world.spool.take(0)
    assert rest is not None
    assert numbers(rest.body) == [3, 4]
    world.spool.acknowledge(batch)  # too late, and true all the same
    assert world.spool.state().events == 0
    world.spool.acknowledge(rest)
    world.spool.acknowledge_to(2)
    world.spool.acknowledge_to(900)
    assert world.losses.totals() == {}
    assert world.spool.take(0) is None


def test_batch_is_no_larger_than_an_eighth_of_the_spool(world: World) -> None:
    for number in range(10):
        world.spool.put(events([number], size=60_000))
    batch = world.spool.take(0)
    assert batch is not None
    assert batch.events < 5
    assert len(batch.body) <= MEBIBYTE // 8


def test_state_tells_how_long_the_oldest_has_waited(world: World) -> None:
    assert world.spool.state().oldest == 0
    world.spool.put(events([1]))
    world.clocks.passes(100)
    world.spool.put(events([2]))
    assert world.spool.state().oldest == pytest.approx(100)
    assert world.spool.state().limit == MEBIBYTE


def test_what_is_only_in_memory_when_it_is_closed_is_counted(world: World) -> None:
    with failing_disk() as disk:
        disk.full = True
        world.spool.put(events([1, 2, 3]))
        world.spool.close()
    world.spool.put(events([4]))
    world.spool.close()
    world.clocks.passes(1e9)
    world.spool.settle()
    world.open()
    assert world.lost() == {STOPPED: 4}


def test_spool_of_an_older_agent_is_taken_over(tmp_path: Path) -> None:
    with Journal(tmp_path / "spool") as journal:
        for number in range(3):
            body = events([number]).body
            header = b'{"events":1,"first":1,"last":2,"total":%d}' % (number + 1)
            journal.append(header, body)
    world = World(tmp_path, SMALL)
    assert world.spool.state().events == 3
    world.clocks.passes(86_400)
    world.spool.settle()
    assert world.deliver_all() == [0, 1, 2]
    assert world.losses.totals() == {}


def test_any_thread_may_put(world: World) -> None:
    def put(first: int) -> None:
        for number in range(first, first + 50):
            world.spool.put(events([number]))

    threads = [threading.Thread(target=put, args=(first,)) for first in range(0, 200, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(world.deliver_all()) == list(range(200))
    assert world.spool.state().events == 0
    assert world.losses.totals() == {}


# A replay


def test_replay_goes_on_exactly_where_a_kill_has_cut_it_off(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from deodar.agent.loss import LossBook
        from deodar.agent.packets import Packer
        from deodar.agent.sensors.replay import ReplayOptions, ReplaySensor
        from deodar.agent.settings import SpoolSettings
        from deodar.agent.spool import Spool
        folder, packer = Path(sys.argv[1]), Packer()
        settings = SpoolSettings(segment_bytes=64 * 1024, sync=False)
        spool = Spool(folder / "spool", settings, LossBook(folder / "losses.json"))
        options = ReplayOptions(folder / "file", exit_at_end=True, maximum_events=5)
        sensor = ReplaySensor(options, spool.place)
        sensor.open()
        while not sensor.finished:
            for block in sensor.read(0.1):
                spool.put(packer.pack_text(block.text, block.header))
                print(spool.place.offset, flush=True)
        spool.close()
    """)
    (tmp_path / "file").write_bytes(b"".join(line(number) + b"\n" for number in range(6_000)))
    for packets in (1, 40, 200, 100_000):
        command = [sys.executable, "-c", code, tmp_path]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in zip(range(packets), child.stdout, strict=False):
                pass
            child.kill()
    assert World(tmp_path, SMALL).deliver_all() == list(range(6_000))


def test_place_outlives_the_events_before_it(world: World) -> None:
    for number in range(400):
        one = events([number], "low", 12_000)
        place = Place("/file", 1, 2, number)
        header = msgspec.structs.replace(one.header, place=place)
        world.spool.put(msgspec.structs.replace(one, header=header))
    assert world.losses.totals()
    assert world.spool.place == Place("/file", 1, 2, 399)
    world.kill()
    assert world.open().place == Place("/file", 1, 2, 399)
    world.deliver_all()
    assert world.reopen().place == Place("/file", 1, 2, 399)
