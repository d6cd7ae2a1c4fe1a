from __future__ import annotations

import asyncio
import dataclasses

import pyarrow as pa
import pytest

from deodar.edr.errors import LogUnavailable, NotWriter, PacketRefused, PartlyTaken
from deodar.edr.log import eventlog
from deodar.edr.log.packet import Packet
from deodar.edr.log.schema import prepare
from deodar.edr.settings import Ingest

BOUNDS = Ingest(group_delay=0.01)


def packet(number: int = 1, count: int = 1, source: str = "a/1", **columns: pa.Array) -> Packet:
    texts = pa.array([f"{source}#{number}.{n}" for n in range(count)])
    return Packet(source, number, pa.RecordBatch.from_pydict(columns), texts)


def stored(engine) -> list[tuple[int, str]]:
    rows = engine.query("SELECT seq, raw FROM edr_events ORDER BY seq")
    return list(zip(rows["seq"].to_pylist(), rows["raw"].to_pylist(), strict=True))


async def until(condition) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.025)
    pytest.fail("it did not happen in time")


class Away:
    """Takes the log's table away, which the engine then tells as an error, and brings it back."""

    def __init__(self, engine) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        self._engine.command("RENAME TABLE edr_events TO edr_events_away")

    def __exit__(self, *_: object) -> None:
        self._engine.command("RENAME TABLE edr_events_away TO edr_events")


async def test_an_append_returns_when_the_events_can_be_read(engine):
    async with eventlog.running(engine, BOUNDS) as log:
        assert await log.append(packet(count=3)) is True
        assert log.watermark.value == 3
        assert [seq for seq, _ in stored(engine)] == [1, 2, 3]


async def test_packets_that_come_together_are_one_block(engine):
    async with eventlog.running(engine, Ingest(group_delay=0.2)) as log:
        await asyncio.gather(*(log.append(packet(1, 2, f"a/{n}")) for n in range(20)))
        assert log.counters.packets == 20
        assert log.counters.events == 40
        assert log.counters.blocks == 1


async def test_a_group_that_is_big_enough_does_not_wait(engine):
    async with eventlog.running(engine, Ingest(group_delay=10, group_enough=3)) as log:
        async with asyncio.timeout(5):
            await log.append(packet(1, 3))
        assert log.counters.blocks == 1


async def test_a_group_is_bounded_in_bytes(engine):
    bounds = Ingest(group_delay=0.2, group_bytes=1024)
    async with eventlog.running(engine, bounds) as log:
        await asyncio.gather(*(log.append(packet(1, 100, f"a/{n}")) for n in range(3)))
        assert log.counters.blocks == 3
    assert len(stored(engine)) == 300


async def test_numbers_have_no_gaps_and_keep_each_sources_order(engine):
    async with eventlog.running(engine, Ingest(group_delay=0, group_events=7)) as log:
        for number in range(1, 6):
            await asyncio.gather(*(log.append(packet(number, 3, f"a/{n}")) for n in range(4)))
    rows = stored(engine)
    assert [seq for seq, _ in rows] == list(range(1, 61))
    for source in range(4):
        own = [raw for _, raw in rows if raw.startswith(f"a/{source}#")]
        assert own == sorted(own)


async def test_a_repeat_is_not_stored_again_also_not_after_a_restart(engine):
    async with eventlog.running(engine, BOUNDS) as log:
        assert await log.append(packet(3)) is True
        assert await log.append(packet(3)) is False
        assert await log.append(packet(2)) is False
        epoch = log.epoch
    async with eventlog.running(engine, BOUNDS) as log:
        assert log.was_taken("a/1", 3)
        assert not log.was_taken("a/1", 4)
        assert not log.was_taken("a/2", 1)
        assert await log.append(packet(3)) is False
        assert await log.append(packet(4)) is True
        assert log.epoch == epoch
    assert stored(engine) == [(1, "a/1#3.0"), (2, "a/1#4.0")]


async def test_repeats_at_the_same_time_wait_for_the_one_commit(engine):
    async with eventlog.running(engine, Ingest(group_delay=0.1)) as log:
        answers = await asyncio.gather(*(log.append(packet()) for _ in range(10)))
    assert sorted(answers) == [False] * 9 + [True]
    assert len(stored(engine)) == 1


async def test_a_sender_that_goes_away_does_not_stop_its_packet(engine):
    async with eventlog.running(engine, Ingest(group_delay=0.1)) as log:
        sending = asyncio.create_task(log.append(packet()))
        await asyncio.sleep(0)
        sending.cancel()
        await log.watermark.reached(1, 10)
        assert await log.append(packet()) is False


async def test_a_store_that_fails_is_told_and_the_block_is_kept(engine):
    async with eventlog.running(engine, BOUNDS) as log:
        await log.append(packet(1))
        with Away(engine):
            with pytest.raises(LogUnavailable, match="cannot be written"):
                await log.append(packet(2))
            assert log.failure is not None
            with pytest.raises(LogUnavailable):
                await log.append(packet(3))
        await until(lambda: log.failure is None)
        assert await log.append(packet(2)) is False
        assert await log.append(packet(3)) is True
        assert log.counters.failures >= 3
    assert [raw for _, raw in stored(engine)] == ["a/1#1.0", "a/1#2.0", "a/1#3.0"]


async def test_a_short_failure_is_not_noticed_by_senders(engine):
    async with eventlog.running(engine, Ingest(group_delay=0)) as log:
        with Away(engine):
            sending = asyncio.create_task(log.append(packet()))
            await until(lambda: log.counters.failures == 1)
        assert await sending is True
    assert len(stored(engine)) == 1


async def test_closing_while_the_store_fails_ends(engine):
    with_away = Away(engine)
    async with eventlog.running(engine, Ingest(group_delay=0)) as log:
        with_away.__enter__()
        sending = asyncio.create_task(log.append(packet()))
        await until(lambda: log.counters.failures == 1)
    with_away.__exit__()
    with pytest.raises(LogUnavailable):
        await sending
    assert stored(engine) == []


async def test_what_is_queued_at_the_end_is_committed(engine):
    async with eventlog.running(engine, Ingest(group_delay=5)) as log:
        sending = [asyncio.create_task(log.append(packet(1, 1, f"a/{n}"))) for n in range(5)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*sending) == [True] * 5
    assert len(stored(engine)) == 5


async def test_a_full_queue_refuses_and_what_is_in_it_is_committed(engine):
    bounds = Ingest(group_delay=0.2, queue_events=10, group_events=1000)
    async with eventlog.running(engine, bounds) as log:
        first = asyncio.create_task(log.append(packet(1, 8)))
        await asyncio.sleep(0)
        with pytest.raises(LogUnavailable) as caught:
            await log.append(packet(1, 3, "b/1"))
        assert caught.value.retry_after == 1
        assert await first is True
        assert await log.append(packet(1, 3, "b/1")) is True


def joined(first: int, last: int) -> Packet:
    return dataclasses.replace(packet(last, last - first + 1), first=first)


async def test_a_packet_of_which_only_the_beginning_is_there_is_told_where_to_go_on(engine):
    async with eventlog.running(engine, BOUNDS) as log:
        assert await log.append(joined(1, 5)) is True
        assert await log.append(joined(2, 5)) is False
        for first in (1, 3, 5):
            with pytest.raises(PartlyTaken, match="from 6 on") as caught:
                await log.append(joined(first, 9))
            assert caught.value.committed == 5
        assert await log.append(joined(6, 9)) is True
        assert await log.append(packet(9)) is False
    assert len(stored(engine)) == 9


async def test_a_longer_packet_waits_while_its_beginning_is_still_being_tried(engine):
    """The store is away, the first packet is kept to be tried again; then it comes back."""
    async with eventlog.running(engine, BOUNDS) as log:
        with Away(engine):
            with pytest.raises(LogUnavailable):
                await log.append(joined(1, 5))
            with pytest.raises(LogUnavailable):
                await log.append(joined(1, 9))
        await until(lambda: log.was_taken("a/1", 5))
        with pytest.raises(PartlyTaken):
            await log.append(joined(1, 9))
    assert len(stored(engine)) == 5


async def test_a_packet_that_the_store_cannot_keep_is_refused_alone(engine):
    async with eventlog.running(engine, Ingest(group_delay=0.1)) as log:
        unknown = pa.array(["x"])
        answers = await asyncio.gather(
            log.append(packet(1)),
            log.append(packet(1, source="b/1", NoSuchField=unknown)),
            log.append(packet(1, source="c/1")),
            return_exceptions=True,
        )
        assert answers[0] is True
        assert answers[2] is True
        assert isinstance(answers[1], PacketRefused)
        assert log.failure is None
        assert await log.append(packet(2, source="b/1")) is True
    assert [raw for _, raw in stored(engine)] == ["a/1#1.0", "c/1#1.0", "b/1#2.0"]


async def test_packets_whose_columns_cannot_be_joined_are_told_apart(engine):
    async with eventlog.running(engine, Ingest(group_delay=0.1)) as log:
        answers = await asyncio.gather(
            log.append(packet(1, RemotePort=pa.array([1]))),
            log.append(packet(1, source="b/1", RemotePort=pa.array([["no", "number"]]))),
            return_exceptions=True,
        )
    assert answers[0] is True
    assert isinstance(answers[1], PacketRefused)
    assert len(stored(engine)) == 1


async def test_the_end_of_the_committer_is_noticed(engine):
    stop = asyncio.Event()
    async with eventlog.running(engine, BOUNDS, stop):
        assert not stop.is_set()
    await asyncio.wait_for(stop.wait(), 5)


async def test_what_is_not_confirmed_is_told_to_nobody_and_nothing_more_is_written(engine):
    confirmed: list[int] = []

    def confirm(last: int) -> None:
        if confirmed:
            raise NotWriter("another server took over")
        confirmed.append(last)

    lineage = prepare(engine)
    log = eventlog.EventLog(engine, BOUNDS, lineage, (0, 0), {}, confirm)
    async with eventlog.committing(log, None):
        assert await log.append(packet(1, 2))
        with pytest.raises(LogUnavailable, match="another server took over"):
            await log.append(packet(2))
        with pytest.raises(LogUnavailable):
            await log.append(packet(3))
        assert (confirmed, log.watermark.value) == ([2], 2)


async def test_a_log_of_a_term_takes_nothing_more_once_a_failure_was_told(engine):
    lineage = prepare(engine)
    log = eventlog.EventLog(engine, BOUNDS, lineage, (0, 0), {}, lambda _last: None)
    async with eventlog.committing(log, None):
        with Away(engine), pytest.raises(LogUnavailable, match="cannot be written"):
            await log.append(packet(1))
        # Were the third packet taken, the first two would look like repeats of what is there.
        for number in (3, 1):
            with pytest.raises(LogUnavailable):
                await log.append(packet(number))
    assert stored(engine) == []
