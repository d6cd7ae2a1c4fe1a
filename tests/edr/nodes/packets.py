"""Packets for tests of the nodes."""

from __future__ import annotations

import random

import pyarrow as pa

from deodar.edr.log.packet import Packet


def packet(number: int, source: str = "a/1", count: int = 2, first: int = 0) -> Packet:
    """Return a packet whose events' texts tell where they come from."""
    texts = [f'{{"Id":"{source}#{number}.{n}"}}' for n in range(count)]
    fields = {"HostName": pa.array(["h"] * count), "SystemPid": pa.array([number] * count)}
    return Packet(source, number, pa.RecordBatch.from_pydict(fields), pa.array(texts), first)


def large(number: int, source: str = "a/1", size: int = 5 << 20) -> Packet:
    """Return a packet that cannot be packed, larger than a message of NATS may be."""
    text = random.Random(number).randbytes(size // 2).hex()
    fields = pa.RecordBatch.from_pydict({"HostName": pa.array(["h"])})
    return Packet(source, number, fields, pa.array([f'{{"Id":"{text}"}}']))
