from __future__ import annotations

import asyncio

import pytest

from deodar.kit.journal import Journal
from deodar.siem.collector.desk import Desk
from deodar.siem.collector.record import decode
from deodar.siem.connectors.base import Handover


def move(before, after, body):
    return Handover(body, "kata", "https://edr:443", before, after)


@pytest.fixture
def hindrances():
    return []


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal", max_bytes=64_000) as journal:
        yield journal


@pytest.fixture
def desk(journal, hindrances):
    return Desk(journal, "source", hindrances.append)


async def test_an_answer_is_in_the_journal_with_its_token(desk, journal):
    await desk.put(move(None, "t1", b"body"))
    (record,) = journal.read(0)
    assert record.body == b"body"
    assert await desk.after(0) == [record]
    header = decode(record.header)
    assert (header.token_before, header.token_after) == (None, "t1")
    assert desk.token == "t1"


async def test_a_reader_that_is_behind_gets_every_answer_from_the_journal(desk):
    await desk.put(move(None, "t1", b"1"))
    await desk.put(move("t1", "t2", b"2"))
    assert [record.body for record in await desk.after(0)] == [b"1", b"2"]
    assert [record.number for record in await desk.after(1)] == [2]


async def test_a_new_desk_goes_on_with_the_token_even_when_all_is_done(desk, journal):
    await desk.put(move(None, "t1", b"body"))
    await desk.acknowledge(1)
    assert Desk(journal, "source", print).token == "t1"
    assert Desk(journal, "other", print).token is None


async def test_a_reset_is_durable_and_an_answer_from_before_it_is_dropped(desk, journal):
    await desk.put(move(None, "t1", b"1"))
    await desk.reset()
    await desk.put(move("t1", "t2", b"2"))
    assert desk.token is None
    assert Desk(journal, "source", print).why_initial == "the token was reset"
    assert [record.body for record in await desk.after(0)] == [b"1", b""]


async def test_a_full_journal_makes_the_writer_wait_until_there_is_room(desk, hindrances):
    tokens = [f"t{number}" for number in range(30)]

    async def fill():
        for before, after in zip([None, *tokens], tokens, strict=False):
            await desk.put(move(before, after, b"x" * 8_000))

    task = asyncio.create_task(fill())
    async with asyncio.timeout(20):
        while not any(hindrances):  # noqa: ASYNC110 - told by a callback from elsewhere
            await asyncio.sleep(0.01)
        assert "full" in hindrances[-1]
        assert not task.done()
        number = 0
        while not task.done():
            for record in await desk.after(number):
                number = record.number
                await desk.acknowledge(number)
            if number == 30:
                await task
    assert hindrances[-1] == ""
    assert desk.token == "t29"


async def test_a_cancelled_writer_leaves_no_gap_in_the_chain(desk):
    task = asyncio.create_task(desk.put(move(None, "t1", b"x" * 10_000)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await desk.put(move("t1", "t2", b"2"))
    headers = [decode(record.header) for record in await desk.after(0)]
    assert [header.token_after for header in headers] == ["t1", "t2"]


async def test_a_reader_waits_for_what_comes(desk):
    reading = asyncio.create_task(desk.after(0))
    await asyncio.sleep(0)
    assert not reading.done()
    await desk.put(move(None, "t1", b"body"))
    async with asyncio.timeout(10):
        assert [record.body for record in await reading] == [b"body"]


async def test_two_readers_wait_at_once_and_both_are_woken(desk):
    reading = [asyncio.create_task(desk.after(0)) for _ in range(2)]
    await asyncio.sleep(0.05)
    await desk.put(move(None, "t1", b"body"))
    async with asyncio.timeout(3):  # less than a reader waits before it looks again by itself
        found = await asyncio.gather(*reading)
    assert [[record.body for record in records] for records in found] == [[b"body"]] * 2


async def test_a_tick_lets_time_go_on_and_leaves_the_stream_where_it_is(desk, journal):
    await desk.put(move(None, "t1", b"1"))
    await desk.tick()
    _, tick = journal.read(0)
    header = decode(tick.header)
    assert (header.kind, header.token_before, header.token_after) == ("tick", "t1", "t1")
    assert [record.number for record in await desk.after(1)] == [2]
    await desk.put(move("t1", "t2", b"2"))
    await desk.acknowledge(2)
    assert [record.body for record in desk.read(0)] == [b"2"]
    assert Desk(journal, "source", print).token == "t2"
