"""A packet of events on its way into the log, and the block that several packets become."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Packet:
    """Decoded events from one source under the source's own, rising packet number.

    `fields` has the columns that any event fills; `raw` the events as JSON text, one for each row.
    A packet without rows is not allowed: there would be nothing to find it by. One that was put
    together from several has the last one's number; `first` is the first one's, 0 if it is one.
    """

    source: str
    number: int
    fields: pa.RecordBatch
    raw: pa.Array
    first: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What tells this packet from all others."""
        return self.source, self.number

    @property
    def events(self) -> int:
        """The number of events."""
        return len(self.raw)

    @cached_property
    def size(self) -> int:
        """About how much memory it takes, in bytes. Arrow takes a while to count them."""
        return int(self.raw.nbytes + self.fields.nbytes)


def block(packets: Sequence[Packet], first_seq: int, received_us: int) -> pa.Table:
    """Return the rows of packets as one table for the store, numbered from `first_seq` on.

    A column that only some packets fill is completed with what an absent field is: "" or null.
    """
    types = {field.name: field.type for packet in packets for field in packet.fields.schema}
    count = sum(packet.events for packet in packets)
    columns = {
        "seq": pa.array(np.arange(first_seq, first_seq + count, dtype=np.uint64)),
        "received": pa.repeat(pa.scalar(received_us, pa.int64()), count),
        "source": _each(packets, lambda packet: pa.scalar(packet.source)),
        "packet": _each(packets, lambda packet: pa.scalar(packet.number, pa.uint64())),
        "raw": pa.chunked_array([packet.raw for packet in packets]),
    }
    for name, kind in types.items():
        columns[name] = pa.chunked_array([_column(packet, name, kind) for packet in packets], kind)
    return pa.table(columns).combine_chunks()


def _each(packets: Sequence[Packet], value: Callable[[Packet], pa.Scalar]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.repeat(value(packet), packet.events) for packet in packets])


def _column(packet: Packet, name: str, kind: pa.DataType) -> pa.Array:
    at = packet.fields.schema.get_field_index(name)
    return packet.fields.column(at) if at >= 0 else _absent(kind, packet.events)


def _absent(kind: pa.DataType, count: int) -> pa.Array:
    if pa.types.is_integer(kind):
        return pa.nulls(count, kind)
    return pa.repeat(pa.scalar("", kind), count)
