from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from deodar.edr.log import retention
from deodar.edr.log.packet import Packet, block
from deodar.edr.log.schema import TABLE, prepare

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def fill(engine, seq: int, age: timedelta) -> None:
    received = int((NOW - age).timestamp() * 1_000_000)
    packet = Packet("s", seq, pa.RecordBatch.from_pydict({}), pa.array(["x"]))
    engine.insert(TABLE, block([packet], seq, received))


def seqs(engine) -> list[int]:
    return engine.query(f"SELECT seq FROM {TABLE} ORDER BY seq")["seq"].to_pylist()


@pytest.fixture
def filled(engine):
    prepare(engine)
    for seq, days in enumerate((40, 31, 30, 29, 0), 1):
        fill(engine, seq, timedelta(days=days))
    return engine


def test_days_that_are_too_old_go_as_a_whole(filled):
    assert retention.drop_old(filled, 30, NOW) == ["20261013", "20261022"]
    assert seqs(filled) == [3, 4, 5]
    assert retention.drop_old(filled, 30, NOW) == []


def test_the_newest_day_stays_whatever_its_age(filled):
    retention.drop_old(filled, 1, NOW + timedelta(days=1000))
    assert seqs(filled) == [5]


async def test_old_days_are_dropped_while_the_server_runs(filled):
    async with retention.keeping(filled, 30):
        for _ in range(200):
            if len(seqs(filled)) < 5:
                break
            await asyncio.sleep(0.02)
    assert 5 in seqs(filled)
    assert 1 not in seqs(filled)


async def test_zero_days_keep_everything(filled):
    async with retention.keeping(filled, 0):
        await asyncio.sleep(0.05)
    assert len(seqs(filled)) == 5
