from __future__ import annotations

import pyarrow as pa

from deodar.edr.log.ledger import Ledger
from deodar.edr.log.packet import Packet, block
from deodar.edr.log.schema import TABLE, prepare
from deodar.edr.log.voids import NONE, Void, Voids


def put(engine, first: int, source: str, number: int, count: int = 2) -> None:
    rows = pa.array([f"{source}#{number}.{n}" for n in range(count)])
    packet = Packet(source, number, pa.RecordBatch.from_pydict({}), rows)
    engine.insert(TABLE, block([packet], first, 1))


def test_later_looks_add_what_is_new(engine):
    prepare(engine)
    put(engine, 1, "a/1", 7)
    put(engine, 3, "b/1", 2)
    ledger = Ledger(engine)
    assert ledger.read(4, NONE) == {"a/1": 7, "b/1": 2}
    put(engine, 5, "a/1", 8)
    put(engine, 7, "c/1", 1)
    assert ledger.read(6, NONE) == {"a/1": 8, "b/1": 2}
    assert ledger.upto == 6


def test_rows_in_a_void_range_tell_nothing(engine):
    prepare(engine)
    put(engine, 1, "a/1", 1)
    put(engine, 3, "a/1", 2)
    put(engine, 101, "a/2", 5)
    assert Ledger(engine).read(102, Voids([Void(2, 100)])) == {"a/1": 1, "a/2": 5}
