"""Another Deodar is the same core here, seen by a collector that it does not belong to."""

from __future__ import annotations

import datetime as dt
import uuid

import pyarrow as pa
import pytest

from deodar.siem.destinations.base import Batch
from deodar.siem.destinations.deodar import DeodarDestination, DeodarSettings
from deodar.siem.errors import DestinationRefused, DestinationUnavailable


def events(batch_id: str, count: int, **changes) -> Batch:
    row = {
        "Timestamp": 1_795_310_453_954,
        "BatchID": batch_id,
        "BatchTime": dt.datetime.now(dt.UTC),
        "ServiceName": batch_id,
        **changes,
    }
    rows = [{"ID": str(uuid.uuid4()), **row} for _ in range(count)]
    schema = pa.schema(
        [
            ("ID", pa.string()),
            ("Timestamp", pa.int64()),
            ("BatchID", pa.string()),
            ("BatchTime", pa.timestamp("ms", "UTC")),
            ("ServiceName", pa.string()),
        ]
    )
    return Batch(batch_id, pa.RecordBatch.from_pylist(rows, schema=schema))


def opened(core, url: str = "") -> DeodarDestination:
    home = core.collector("127.0.0.1:1")
    settings = DeodarSettings(
        name="x", kind="deodar", url=url or core.url, certificate="core-client.pem",
        authority="core-authority.pem", timeout=10.0,
    )  # fmt: skip
    return DeodarDestination(settings, home.path)


async def test_a_batch_is_stored_once_however_often_it_is_sent(core):
    destination, batch = opened(core), events(f"b-{uuid.uuid4()}", 5)
    assert "storage service answers" in await destination.check()
    for _ in range(2):
        assert await destination.deliver(batch) > 0
    await destination.close()
    found = core.search(f"select count() as n from events where ServiceName = '{batch.id}'")
    assert found == [{"n": 5}]


async def test_a_batch_that_the_other_refuses_is_told_as_such(core):
    destination = opened(core)
    with pytest.raises(DestinationRefused, match="BatchID"):
        await destination.deliver(Batch("another-id", events("b", 1).events))
    await destination.close()


async def test_nobody_there_is_told(core):
    destination = opened(core, "https://127.0.0.1:9")
    with pytest.raises(DestinationUnavailable):
        await destination.check()
    with pytest.raises(DestinationUnavailable):
        await destination.deliver(events("b", 1))
    await destination.close()
