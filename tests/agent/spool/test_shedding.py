from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.agent.spool.world import MEBIBYTE, World, failing_disk, packet

from deodar.agent.packets import Header
from deodar.agent.settings import SpoolSettings
from deodar.agent.spool import AGED, FULL, Level
from deodar.agent.spool.shedding import joined
from deodar.kit.journal import JournalUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMALL = SpoolSettings(maximum_bytes=MEBIBYTE, segment_bytes=64 * 1024, sync=False)
MIX = ["low", "medium", "low", "high"]
DAY = 86_400


def fill(world: World, packets: int, kinds: list[str] | str = MIX, *, first: int = 0) -> int:
    """Put packets of four events, about 12 kB each; returns how many events there are then."""
    for number in range(first, first + packets * 4, 4):
        world.spool.put(packet(range(number, number + 4), kinds, 5_000))
    return first + packets * 4


def test_low_importance_goes_first_and_the_oldest_of_it(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    put = fill(world, 110)
    delivered = world.deliver_all()
    lost = world.lost()
    assert set(lost) == {FULL[Level.LOW]}
    assert len(delivered) + lost[FULL[Level.LOW]] == put
    missing = sorted(set(range(put)) - set(delivered))
    assert all(number % 2 == 0 for number in missing)
    assert missing == list(range(0, missing[-1] + 1, 2))


def test_medium_goes_next_and_detections_last(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    put = fill(world, 250)
    lost = world.lost()
    assert set(lost) == {FULL[Level.LOW], FULL[Level.MEDIUM]}
    delivered = world.deliver_all()
    assert [n for n in delivered if n % 4 == 3] == list(range(3, put, 4))
    assert len(delivered) + sum(lost.values()) == put
    assert delivered == sorted(delivered)


def test_in_the_end_the_oldest_detections_go(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    put = fill(world, 140, "high")
    lost = world.lost()
    assert set(lost) == {FULL[Level.HIGH]}
    gone = lost[FULL[Level.HIGH]]
    assert world.deliver_all() == list(range(gone, put))


def test_new_events_of_low_importance_do_not_push_detections_out(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    full = fill(world, 60, "high")
    while not world.losses.totals():
        full = fill(world, 1, "low", first=full)
    fill(world, 50, "low", first=full)
    assert set(world.lost()) == {FULL[Level.LOW]}
    assert world.deliver_all()[: 60 * 4] == list(range(60 * 4))


def test_batch_on_its_way_is_not_thinned_even_after_a_kill(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    fill(world, 10)
    batch = world.spool.take(0)
    assert batch is not None
    assert batch.events == 40
    world.kill()
    world.open()
    put = fill(world, 150, first=40)
    assert world.lost()
    assert world.spool.take(0) == batch
    world.spool.acknowledge(batch)
    assert world.spool.state().events == put - 40 - world.losses.totals()["spool"]


def test_replayed_events_are_judged_when_they_have_to_go(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    for number in range(0, 1000, 4):
        one = packet(range(number, number + 4), MIX, 5_000)
        header = msgspec.structs.replace(one.header, low=0, medium=0, high=0, urgent=False)
        world.spool.put(msgspec.structs.replace(one, header=header))
    assert set(world.lost()) == {FULL[Level.LOW], FULL[Level.MEDIUM]}
    assert [n for n in world.deliver_all() if n % 4 == 3] == list(range(3, 1000, 4))


def test_the_spool_is_free_while_a_segment_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, SMALL)
    put = fill(world, 60)
    shedder = world.spool._shedder
    begun, go_on = threading.Event(), threading.Event()
    prepare = world.spool._journal.prepare

    def slow(*arguments):
        begun.set()
        assert go_on.wait(20)
        return prepare(*arguments)

    monkeypatch.setattr(world.spool._journal, "prepare", slow)
    thread = threading.Thread(target=shedder.thin, args=(Level.LOW,))
    thread.start()
    assert begun.wait(20)
    world.spool.put(packet([put]))
    batch = world.spool.take(0, max_events=4)
    assert batch is not None
    go_on.set()
    thread.join(20)
    assert world.losses.totals() == {}  # the batch came first: the new content was thrown away
    assert not (tmp_path / "spool" / "replacement").exists()
    world.spool.acknowledge(batch)
    assert len(world.deliver_all()) == put + 1 - 4


def test_what_is_aged_while_a_segment_is_made_anew_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, SMALL)
    put = fill(world, 60)
    prepare = world.spool._journal.prepare

    def meanwhile(*arguments):
        new = prepare(*arguments)
        world.clocks.passes(30 * DAY)
        world.spool.settle()
        return new

    monkeypatch.setattr(world.spool._journal, "prepare", meanwhile)
    assert world.spool._shedder.thin(Level.LOW)
    assert world.lost() == {AGED: put}
    assert world.spool.state().events == 0
    assert world.deliver_all() == []


# Age


def test_events_older_than_the_limit_go_and_are_counted(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    fill(world, 5)
    world.clocks.passes(20.9 * DAY)
    put = fill(world, 5, first=20)
    world.spool.settle()
    assert world.spool.state().oldest == pytest.approx(20.9 * DAY)
    assert world.lost() == {}
    world.clocks.passes(0.2 * DAY)
    world.spool.settle()
    assert world.lost() == {AGED: 20}
    assert world.deliver_all() == list(range(20, put))


def test_steps_of_the_wall_clock_age_nothing_and_downtime_does(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    fill(world, 5)
    for years in (30, -60, 30):
        world.clocks.wall += years * 365 * DAY
        world.clocks.passes(61)
        world.spool.settle()
        assert world.spool.state().oldest < 300
    world.spool.close()
    world.clocks.boot = "boot-2"
    world.clocks.running = 5.0
    world.clocks.wall += 22 * DAY
    world.open()
    world.spool.settle()
    assert world.lost() == {AGED: 20}
    assert world.deliver_all() == []


def test_batch_on_its_way_does_not_age(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    fill(world, 5)
    batch = world.spool.take(0)
    world.clocks.passes(40 * DAY)
    world.spool.settle()
    assert world.lost() == {}
    assert world.spool.take(0) == batch


# A process that is killed between any two steps


STEPS = ("open", "pwrite", "rename", "replace", "unlink", "fdatasync", "fsync", "ftruncate")


def die_at(step: int, work: Callable[[], None]) -> bool:
    """Run `work` in a child that ends itself before its step number `step` on the disk.

    Returns whether it came so far as to end itself.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
    count = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments, **named):
            nonlocal count
            count += 1
            if count == step:
                os._exit(77)
            return real(*arguments, **named)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    try:
        work()
    finally:
        os._exit(0)


@pytest.mark.parametrize(
    ("kinds", "counted"), [(MIX, Level.LOW), ("low", Level.LOW), ("high", Level.HIGH)]
)
def test_kill_at_any_step_counts_what_went_exactly_once(
    tmp_path: Path, kinds: list[str], counted: Level
) -> None:
    step, reached = 0, True
    while reached:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        world = World(folder, SMALL)
        put = fill(world, 72, kinds)
        assert world.losses.totals() == {}
        world.kill()
        reached = die_at(step, lambda folder=folder: _thin_once(folder, counted))
        again = World(folder, SMALL)
        names = {path.name for path in (folder / "spool").iterdir()}
        assert not names & {"replacement", "next"}
        lost = sum(again.lost().values())
        delivered = again.deliver_all()
        assert len(delivered) + lost == put
        assert delivered == sorted(set(delivered))
        assert again.lost() == {}
    assert step > 8
    assert lost > 0


def _thin_once(folder: Path, level: Level) -> None:
    world = World(folder, SMALL)
    assert world.spool._shedder.thin(level)
    assert world.losses.totals()["spool"]


def test_kill_at_any_step_of_ageing_counts_exactly_once(tmp_path: Path) -> None:
    step, reached = 0, True
    while reached:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        world = World(folder, SMALL)
        fill(world, 40, "high")
        world.clocks.passes(30 * DAY)
        put = fill(world, 5, first=160)
        world.spool._age.save(now=True)
        world.kill()

        def work(folder: Path = folder, world: World = world) -> None:
            again = World.__new__(World)
            again.folder, again.settings, again.clocks = folder, SMALL, world.clocks
            again.open().settle()

        reached = die_at(step, work)
        world.open()
        world.spool.settle()
        assert world.lost() == {AGED: 160}
        assert world.deliver_all() == list(range(160, put))


@pytest.mark.parametrize("kinds", ["low", "high"])
def test_killed_at_random_under_full_load(tmp_path: Path, kinds: str) -> None:
    code = textwrap.dedent("""
        import sys, threading
        from pathlib import Path
        from tests.agent.spool.test_shedding import SMALL, fill
        from tests.agent.spool.world import World
        world, put = World(Path(sys.argv[1]), SMALL), 0
        threading.Thread(target=lambda: world.spool.take(0, max_events=40), daemon=True).start()
        print(world.spool.state().events, flush=True)
        while True:
            put = fill(world, 1, sys.argv[2], first=put)
            if world.losses.totals().get("spool", 0) > 20:
                print("full", flush=True)
    """)
    for round_ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", code, tmp_path, kinds],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        assert child.stdout is not None
        while child.stdout.readline() != "full\n":
            assert child.poll() is None
        time.sleep(0.05 * round_)
        child.kill()
        child.communicate(timeout=30)
    world = World(tmp_path, SMALL)
    stored = world.spool._intake.last.total
    waiting = world.spool.state().events
    assert 0 < waiting < stored
    lost = sum(world.lost().values())
    assert waiting + lost == stored
    while world.deliver():
        pass
    assert len(world.server.events) == waiting
    assert world.lost() == {}


# Disks that are really full, or can only be read


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two mebibytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("may not mount a file system here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def use_up(place: Path, rest: int) -> Path:
    """Fill the disk but for about `rest` bytes."""
    filler = place / "filler"
    status = os.statvfs(place)
    with filler.open("wb", buffering=0) as file:
        file.write(bytes(max(0, status.f_bavail * status.f_frsize - rest)))
    return filler


@pytest.mark.root
@pytest.mark.parametrize("rest", [0, 24 * 1024])
def test_disk_that_is_full_even_for_thinning_is_survived(small_disk: Path, rest: int) -> None:
    world = World(small_disk, SMALL)
    put = 0
    while not world.losses.totals():
        put = fill(world, 1, first=put)
    lost = world.lost()[FULL[Level.LOW]]
    filler = use_up(small_disk, rest)
    put = fill(world, 40, first=put)
    state = world.spool.state()
    assert "No space left" in state.disk_error
    assert state.held_packets
    assert state.events + lost == put
    assert world.lost() == {}
    filler.unlink()
    world.spool.settle()
    assert world.spool.state().held_packets == 0
    delivered = world.deliver_all()
    assert len(delivered) + lost + sum(world.lost().values()) == put
    assert [n for n in delivered if n % 4 == 3] == list(range(3, put, 4))
    world.spool.close()


@pytest.mark.root
def test_spool_on_a_read_only_disk_says_so(small_disk: Path) -> None:
    world = World(small_disk, SMALL)
    put = fill(world, 5)
    world.spool.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(JournalUnavailable, match="Read-only file system"):
        world.open()
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    world.open()
    assert world.deliver_all() == list(range(put))
    world.spool.close()


def test_disk_that_becomes_read_only_is_survived(tmp_path: Path) -> None:
    world = World(tmp_path, SMALL)
    put = fill(world, 10)
    with failing_disk(errno.EROFS) as disk:
        disk.full = True
        put = fill(world, 10, first=put)
        assert world.spool.state().held_packets == 10
        assert "Read-only" in world.spool.state().disk_error
        assert world.deliver(max_events=20)  # what is stored goes on being delivered
    world.spool.settle()
    assert world.spool.state().disk_error == ""
    assert world.deliver_all() == list(range(put))


# What is known of packets that are gone


def header(events: int, total: int, thinned: int = 0) -> Header:
    return Header(events=events, first=1, last=2, total=total, thinned=thinned)


@pytest.mark.parametrize(
    ("before", "flight", "after"),
    [
        ([(1, header(0, 3, 3)), (2, header(2, 6, 1))], 0, [(2, header(2, 6, 4))]),
        (
            [(1, header(3, 3)), (2, header(0, 6, 3)), (3, header(0, 9, 3))],
            0,
            [(1, header(3, 9, 6))],
        ),
        (
            [(1, header(3, 3)), (2, header(0, 6, 3)), (3, header(0, 9, 3))],
            1,
            [(1, header(3, 3)), (3, header(0, 9, 6))],
        ),
        ([(1, header(0, 3, 3)), (2, header(0, 6, 3))], 0, [(2, header(0, 6, 6))]),
    ],
)
def test_headers_tell_what_is_gone_beside_them(
    before: list[tuple[int, Header]], flight: int, after: list[tuple[int, Header]]
) -> None:
    packets = [(number, one, b"") for number, one in before]
    assert [(number, one) for number, one, _ in joined(packets, flight)] == after


def test_thinning_is_cheap(tmp_path: Path) -> None:
    settings = SpoolSettings(maximum_bytes=8 * MEBIBYTE, segment_bytes=MEBIBYTE, sync=False)
    world = World(tmp_path, settings)
    put = 0
    while not world.losses.totals():
        world.spool.put(packet(range(put, put + 500), ["low", "medium"] * 250, 300))
        put += 500
    begun = time.perf_counter()
    before = world.losses.totals()["spool"]
    while world.spool._shedder.thin(Level.LOW):
        pass
    seconds = time.perf_counter() - begun
    events = 2 * (world.losses.totals()["spool"] - before)
    assert events / seconds > 20_000  # a slow and busy host; 200,000 and more otherwise
    assert len(world.deliver_all()) + sum(world.lost().values()) == put
