from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from deodar.edr.log import eventlog, retention
from deodar.edr.log.packet import Packet, block
from deodar.edr.log.retention import AGE, SIZE, Day, Keep, Retention
from deodar.edr.log.schema import TABLE, prepare
from deodar.edr.settings import Ingest

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAYS = (40, 31, 30, 29, 0)


def fill(engine, seq: int, age: timedelta) -> None:
    received = int((NOW - age).timestamp() * 1_000_000)
    packet = Packet("s", seq, pa.RecordBatch.from_pydict({}), pa.array(["x"]))
    engine.insert(TABLE, block([packet], seq, received))


def seqs(engine) -> list[int]:
    return engine.query(f"SELECT seq FROM {TABLE} ORDER BY seq")["seq"].to_pylist()


@pytest.fixture
def filled(engine):
    prepare(engine)
    for seq, days in enumerate(DAYS, 1):
        fill(engine, seq, timedelta(days=days))
    return engine


@pytest.fixture
def told() -> list[retention.Dropped]:
    return []


@pytest.fixture
async def keeper(filled, told):
    """Return a function that makes the log's retention."""

    def make(keep: Keep) -> Retention:
        return Retention(filled, eventlog.open_log(filled, Ingest()), keep, told.append)

    return make


def names(dropped) -> list[tuple[str, str]]:
    return [(one.day.name, one.reason) for one in dropped]


async def test_days_that_are_too_old_go_as_a_whole(filled, keeper, told):
    keeping = keeper(Keep(days=30))
    assert names(keeping.drop(NOW)) == [("20261013", AGE), ("20261022", AGE)]
    assert seqs(filled) == [3, 4, 5]
    assert [one.last_seq for one in told] == [1, 2]
    assert keeping.drop(NOW) == []


async def test_the_newest_day_stays_whatever_its_age(filled, keeper):
    keeper(Keep(days=1)).drop(NOW + timedelta(days=1000))
    assert seqs(filled) == [5]


async def test_the_oldest_days_go_until_the_log_is_small_enough(filled, keeper, told):
    held = retention.days(filled)
    keeping = keeper(Keep(size=sum(day.size for day in held[2:])))
    assert names(keeping.drop(NOW)) == [("20261013", SIZE), ("20261022", SIZE)]
    assert seqs(filled) == [3, 4, 5]
    account = keeping.account
    assert account.days == {AGE: 0, SIZE: 2}
    assert account.events == {AGE: 0, SIZE: 2}
    assert account.bytes[SIZE] == held[0].size + held[1].size
    assert account.size == sum(day.size for day in retention.days(filled))


async def test_the_newest_day_stays_whatever_its_size(filled, keeper):
    keeper(Keep(size=1)).drop(NOW)
    assert seqs(filled) == [5]


async def test_readers_are_kept_from_what_goes(filled, keeper):
    log = eventlog.open_log(filled, Ingest())
    Retention(filled, log, Keep(days=30), lambda _: None).drop(NOW)
    assert log.floor == 2
    assert "dropped by retention" in log.problem(log.epoch, 1)
    assert log.problem(log.epoch, 2) is None
    assert eventlog.open_log(filled, Ingest()).floor == 2  # also when it is opened again


async def test_readers_are_kept_from_it_before_it_goes(filled):
    log = eventlog.open_log(filled, Ingest())
    there = []
    log.give_up = lambda _seq: there.append(seqs(filled))
    Retention(filled, log, Keep(days=30), lambda _: None).drop(NOW)
    assert there == [[1, 2, 3, 4, 5], [2, 3, 4, 5]]


async def test_old_days_are_dropped_while_the_server_runs(filled, keeper, told):
    async with keeper(Keep(days=30)).running():
        for _ in range(1000):
            if seqs(filled) == [5] and len(told) == 4:
                break
            await asyncio.sleep(0.02)
    assert [one.last_seq for one in told] == [1, 2, 3, 4]


async def test_without_limits_everything_is_kept(filled, keeper):
    assert keeper(Keep()).drop(NOW) == []
    assert len(seqs(filled)) == 5


def test_age_goes_before_size():
    held = [Day("20261013", 1, 10), Day("20261120", 1, 10), Day("20261122", 1, 10)]
    assert [(day.name, why) for day, why in retention.due(held, Keep(30, 25), NOW)] == [
        ("20261013", AGE)
    ]
    assert [why for _, why in retention.due(held, Keep(30, 15), NOW)] == [AGE, SIZE]
    assert retention.due([], Keep(1, 1), NOW) == []
