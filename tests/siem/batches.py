"""Small batches of normalized events, and what tests of destinations wait for."""

from __future__ import annotations

import asyncio
import datetime as dt

import pyarrow as pa

from deodar.siem.destinations.base import Batch

FETCHED_MS = 1_795_310_453_954
SCHEMA = pa.schema(
    [
        ("ID", pa.string()),
        ("Timestamp", pa.int64()),
        ("BatchID", pa.string()),
        ("BatchTime", pa.timestamp("ms", "UTC")),
        ("DeviceVendor", pa.string()),
        ("DeviceProduct", pa.string()),
        ("DeviceEventCategory", pa.string()),
        ("DeviceHostName", pa.string()),
        ("Name", pa.string()),
        ("FilePath", pa.string()),
        ("DestinationPort", pa.int64()),
        ("Extra", pa.map_(pa.string(), pa.string())),
    ]
)


def event(number: int, batch_id: str = "batch-1", **changes) -> dict:
    return {
        "ID": f"id-{number}",
        "Timestamp": FETCHED_MS,
        "BatchID": batch_id,
        "BatchTime": dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        "DeviceVendor": "Kaspersky",
        "DeviceProduct": "KATA",
        "DeviceEventCategory": "process",
        "DeviceHostName": "host-1",
        "Name": "Process | started",
        "FilePath": f"/opt/a=b\\c/{number}",
        "DestinationPort": number,
        "Extra": [("Depth", str(number % 3))],
        **changes,
    }


def batch(count: int = 3, batch_id: str = "batch-1", **changes) -> Batch:
    rows = [event(number, batch_id, **changes) for number in range(count)]
    return Batch(batch_id, pa.RecordBatch.from_pylist(rows, schema=SCHEMA))


async def until(condition, limit=20.0):
    """Wait for something that happens in other processes or at the other end of a socket."""
    async with asyncio.timeout(limit):
        while not (found := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found
