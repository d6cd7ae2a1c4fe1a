from __future__ import annotations

import asyncio
import threading

import pytest
from tests.siem.collector.test_prepare import STAMP, answer, record

from deodar.columnar.program import compile as compile_spec
from deodar.events.builders import EventBuilder
from deodar.kit.journal import JournalFull, JournalUnavailable
from deodar.siem.collector import workshop as workshops
from deodar.siem.collector.prepare import Preparer
from deodar.siem.collector.workshop import Workshop
from deodar.siem.normalizers import loader


class Watched(Preparer):
    """A real preparer that notes what it does."""

    def __init__(self) -> None:
        super().__init__(compile_spec(loader.load("kedr")), STAMP, "journal")
        self.done: list[int] = []
        self.most = 0
        self._busy = 0
        self._lock = threading.Lock()

    def prepare(self, record):
        with self._lock:
            self._busy += 1
            self.most = max(self.most, self._busy)
        try:
            return super().prepare(record)
        finally:
            with self._lock:
                self._busy -= 1
                self.done.append(record.number)


@pytest.fixture
def preparer():
    return Watched()


def records(count):
    body = answer(EventBuilder(1).events(20))
    return [record(body, number=number) for number in range(1, count + 1)]


async def test_a_record_is_prepared_once_for_all_that_are_at_it(preparer):
    workshop, (first,) = Workshop(preparer, keep=2), records(1)
    made = await asyncio.gather(*(workshop.prepared(first) for _ in range(3)))
    assert preparer.done == [1]
    assert made[0] is made[1] is made[2]
    assert made[0].events.num_rows == 20


async def test_one_that_is_behind_gets_the_same_again(preparer):
    workshop = Workshop(preparer, keep=1)
    first, second = records(2)
    early = await workshop.prepared(first)
    await workshop.prepared(second)
    late = await workshop.prepared(first)
    assert preparer.done == [1, 2, 1]
    assert late.payload == early.payload


async def test_records_are_prepared_one_at_a_time(preparer):
    workshop = Workshop(preparer, keep=0)
    await asyncio.gather(*(workshop.prepared(one) for one in records(5)))
    assert (sorted(preparer.done), preparer.most) == ([1, 2, 3, 4, 5], 1)


async def test_one_that_is_cancelled_takes_nothing_from_the_others(preparer):
    workshop, (first,) = Workshop(preparer, keep=2), records(1)
    gone, waits = (asyncio.create_task(workshop.prepared(first)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await waits).rows == 20


async def test_what_cannot_be_made_durable_is_tried_again(preparer, monkeypatch):
    monkeypatch.setattr(workshops, "_TRY_AGAIN", 0.01)
    troubles = [JournalFull("full"), JournalUnavailable("no disk")]

    class Hindered(Watched):
        def prepare(self, record):
            if troubles:
                raise troubles.pop()
            return super().prepare(record)

    (first,) = records(1)
    told: list[str] = []
    assert (await Workshop(Hindered(), keep=0, hinder=told.append).prepared(first)).rows == 20
    assert troubles == []
    assert [bool(text) for text in told] == [True, True, False]
    assert told[0].endswith("no disk")


async def test_once_it_is_closed_nothing_is_prepared_any_more(preparer):
    workshop = Workshop(preparer, keep=0)
    waiting = [asyncio.create_task(workshop.prepared(one)) for one in records(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await workshop.close()
    done = list(preparer.done)
    assert len(done) <= 1
    await asyncio.gather(*waiting, return_exceptions=True)
    assert preparer.done == done
