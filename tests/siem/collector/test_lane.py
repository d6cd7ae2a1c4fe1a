"""Lanes over a real journal: each at its own pace, within its own limits."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from tests.siem.batches import until
from tests.siem.collector.test_prepare import STAMP

from deodar.columnar.program import compile as compile_spec
from deodar.events.builders import EventBuilder
from deodar.kit.journal import Journal
from deodar.siem.collector.desk import Desk
from deodar.siem.collector.lane import Lane, Limits
from deodar.siem.collector.positions import Positions
from deodar.siem.collector.prepare import Preparer
from deodar.siem.collector.record import RecordHeader
from deodar.siem.collector.workshop import Workshop
from deodar.siem.normalizers import loader


class Courier:
    def __init__(self) -> None:
        self.took: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.lost: list[tuple[int, str]] = []

    async def deliver(self, prepared) -> None:
        await self.open.wait()
        self.took.append(prepared.number)


class Harbour:
    """A journal with two lanes, fast and slow."""

    def __init__(self, journal, folder) -> None:
        self.journal = journal
        self.desk = Desk(journal, "s", print)
        program = compile_spec(loader.load("kedr"))
        self.workshop = Workshop(Preparer(program, STAMP, self.desk.identity), 2)
        self.positions = Positions(folder, self.desk, ("fast", "slow"))
        self.fast, self.slow = Courier(), Courier()
        self.tasks: list[asyncio.Task] = []

    def run(self, max_bytes=1 << 30, max_seconds=0.0) -> None:
        limits = Limits(max_bytes, max_seconds, lambda *lost: self.slow.lost.append(lost))
        parts = (self.desk, self.workshop)
        self.lanes = {
            "fast": Lane("fast", *parts, self.fast, self.positions, print),
            "slow": Lane("slow", *parts, self.slow, self.positions, print, limits),
        }
        self.tasks = [asyncio.create_task(lane.run()) for lane in self.lanes.values()]

    async def put(self, count: int, events: int = 10, age: float = 0.0) -> None:
        body = {"events": EventBuilder(1).events(events), "continuationToken": "t"}
        fetched = int((time.time() - age) * 1e6)
        for _ in range(count):
            token = self.desk.token
            header = RecordHeader("answer", "s", token, "t", "https://edr", fetched)
            await self.desk._chained(header, json.dumps(body).encode())

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.positions.close()


@pytest.fixture
async def harbour(tmp_path):
    with Journal(tmp_path / "journal", segment_bytes=40_000) as journal:
        harbour = Harbour(journal, tmp_path / "journal")
        yield harbour
        await harbour.close()


async def test_a_dead_destination_holds_back_no_other(harbour):
    harbour.slow.open.clear()
    harbour.run()
    await harbour.put(30)
    await until(lambda: len(harbour.fast.took) == 30)
    assert harbour.slow.took == []
    assert harbour.lanes["slow"].waiting == 30
    harbour.slow.open.set()
    await until(lambda: len(harbour.slow.took) == 30)
    assert harbour.slow.took == harbour.fast.took == list(range(1, 31))
    assert harbour.slow.lost == []
    await until(lambda: harbour.journal.acknowledged == 30)


async def test_more_than_its_bytes_are_given_up_oldest_first_and_counted(harbour):
    harbour.slow.open.clear()
    harbour.run(max_bytes=100_000)
    await harbour.put(60)
    await until(lambda: harbour.slow.lost and len(harbour.fast.took) == 60)
    await until(lambda: harbour.journal.bytes_used < 200_000)
    harbour.slow.open.set()
    await until(lambda: harbour.lanes["slow"].waiting == 0)
    lost = sum(events for events, _ in harbour.slow.lost)
    assert {cause for _, cause in harbour.slow.lost} == {"size"}
    assert lost + 10 * len(harbour.slow.took) == 600
    assert harbour.slow.took == list(range(61 - len(harbour.slow.took), 61))
    assert len(harbour.fast.took) == 60


async def test_what_is_too_old_is_given_up_and_what_is_fresh_delivered(harbour):
    await harbour.put(3, age=3600.0)
    await harbour.put(2)
    harbour.run(max_seconds=600.0)
    await until(lambda: harbour.slow.took == [4, 5])
    assert harbour.slow.lost == [(10, "age")] * 3
    await until(lambda: len(harbour.fast.took) == 5)


async def test_a_delivery_that_ages_beyond_its_limit_is_ended(harbour):
    harbour.slow.open.clear()
    harbour.run(max_seconds=1.5)
    await harbour.put(1)
    await until(lambda: harbour.slow.lost == [(10, "age")])
    harbour.slow.open.set()
    async with asyncio.timeout(30):
        while not harbour.slow.took:  # a busy machine may let one more grow old
            await harbour.put(1)
            await asyncio.sleep(0.2)
    assert 1 not in harbour.slow.took


async def test_a_lane_goes_on_from_its_place(harbour, tmp_path):
    await harbour.put(4)
    await harbour.positions.advance("fast", 3)
    harbour.run()
    await until(lambda: harbour.fast.took == [4] and len(harbour.slow.took) == 4)


async def test_a_delivery_that_is_cancelled_from_within_is_tried_again(harbour):
    class Quirky(Courier):
        async def deliver(self, prepared) -> None:
            self.took.append(prepared.number)
            if len(self.took) == 1:
                raise asyncio.CancelledError

    harbour.slow = Quirky()
    harbour.run()
    await harbour.put(2)
    await until(lambda: harbour.slow.took == [1, 1, 2])
