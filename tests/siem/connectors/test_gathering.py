from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.siem.connectors.kept import KeptSink, until

from deodar.siem.connectors import gathering
from deodar.siem.connectors.gathering import Gatherer


@contextlib.asynccontextmanager
async def gatherer(sink, **options):
    made = Gatherer(sink, "test", **{"seconds": 0.02, **options})
    async with made.running():
        yield made


async def test_what_comes_within_a_moment_is_one_record():
    sink = KeptSink()
    async with gatherer(sink) as gathered:
        await asyncio.gather(*(gathered.add(f"10.0.0.{n}", [b"%d" % n]) for n in range(9)))
        await until(lambda: sink.handovers)
    assert len(sink.handovers) == 1
    assert sink.arrived() == [(f"10.0.0.{n}", b"%d" % n) for n in range(9)]


async def test_a_receipt_comes_when_the_events_are_durable_and_not_before():
    sink = KeptSink()
    sink.open.clear()
    async with gatherer(sink) as gathered:
        receipt = asyncio.create_task(gathered.add_durably("x", [b"1"]))
        await asyncio.wait({receipt}, timeout=0.1)
        assert not receipt.done()
        sink.open.set()
        await asyncio.wait_for(receipt, 5)
    assert sink.events() == [b"1"]


async def test_a_full_memory_holds_senders_back(monkeypatch):
    monkeypatch.setattr(gathering, "MOST_WAITING", 1000)
    sink = KeptSink()
    sink.open.clear()
    async with gatherer(sink) as gathered:
        await gathered.add("x", [b"a" * 1000])
        held = asyncio.create_task(gathered.add("x", [b"b"]))
        await asyncio.wait({held}, timeout=0.1)
        assert not held.done()
        assert gathered.is_full
        sink.open.set()
        await asyncio.wait_for(held, 5)
        await until(lambda: len(sink.events()) == 2)
    assert not gathered.is_full


async def test_much_does_not_wait_for_more():
    sink = KeptSink()
    async with gatherer(sink, seconds=60.0) as gathered:
        await gathered.add("x", [b"a" * gathering.FLUSH_BYTES])
        await until(lambda: sink.handovers)


async def test_a_stop_keeps_what_is_in_memory_once():
    sink = KeptSink()
    async with gatherer(sink, seconds=60.0) as gathered:
        await gathered.add("x", [b"1"])
    assert sink.events() == [b"1"]
    sink.open.clear()
    async with gatherer(sink) as gathered:
        await gathered.add("x", [b"2"])
        await until(lambda: gathered.waiting and not gathered._groups)
        asyncio.get_running_loop().call_later(0.1, sink.open.set)
    assert sink.events() == [b"1", b"2"]


async def test_what_a_full_journal_does_not_take_at_a_stop_is_counted(monkeypatch):
    monkeypatch.setattr(gathering, "_LAST_FLUSH", 0.1)
    sink = KeptSink()
    sink.open.clear()
    async with gatherer(sink) as gathered:
        await gathered.add("x", [b"1", b"2"])
    assert sink.counts == {"lost_at_stop": 2}


async def test_states_go_with_the_records_in_their_order():
    sink, marks = KeptSink(), []

    def advance(new):
        before = ",".join(marks) or None
        marks.extend(new)
        return before, ",".join(marks)

    async with gatherer(sink, advance=advance) as gathered:
        for number in range(3):
            await gathered.add_durably("x", [b"e"], f"m{number}")
    assert sink.state == "m0,m1,m2"


@pytest.mark.parametrize("size", [0, 1])
async def test_nothing_is_written_for_nothing(size):
    sink = KeptSink()
    async with gatherer(sink) as gathered:
        for _ in range(size):
            await gathered.add("x", [b"1"])
    assert len(sink.handovers) == size
