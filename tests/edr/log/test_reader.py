from __future__ import annotations

import json

import pyarrow as pa
import pytest

from deodar import kedrql
from deodar.edr.log import reader as readers
from deodar.edr.log.packet import Packet, block
from deodar.edr.log.reader import Reader
from deodar.edr.log.schema import TABLE, prepare, quoted
from deodar.edr.log.voids import Void, Voids

BIG = 1 << 30


@pytest.fixture
def reader(engine) -> Reader:
    prepare(engine)
    return Reader(engine)


def fill(engine, texts: list[str], first: int = 1, received: int = 1000, **fields) -> None:
    batch = pa.RecordBatch.from_pydict(fields)
    engine.insert(TABLE, block([Packet("s", first, batch, pa.array(texts))], first, received))


def where(text: str) -> kedrql.Sql:
    return kedrql.to_sql(kedrql.parse(text), quoted)


def test_events_come_in_order_joined_by_commas(engine, reader):
    fill(engine, [f'{{"n":{n}}}' for n in range(5)])
    found = reader.read(1, 4, 10, BIG, None)
    assert json.loads(b"[" + found.joined + b"]") == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert (found.count, found.scanned, found.cut) == (3, 4, False)


def test_nothing_new_is_nothing(reader):
    found = reader.read(0, 0, 10, BIG, None)
    assert (found.joined, found.count, found.scanned) == (b"", 0, 0)


def test_the_limit_ends_a_read_at_the_last_event_given(engine, reader):
    names = pa.array(["a", "b"] * 4)
    fill(engine, [str(n) for n in range(8)], FileName=names)
    found = reader.read(0, 8, 2, BIG, where("FileName == 'b'"))
    assert (found.joined, found.count, found.scanned) == (b"1,3", 2, 4)
    rest = reader.read(found.scanned, 8, 9, BIG, where("FileName == 'b'"))
    assert (rest.joined, rest.scanned) == (b"5,7", 8)


def test_a_filter_without_a_match_scans_a_bounded_range(engine, reader, monkeypatch):
    monkeypatch.setattr(readers, "SCAN", 3)
    fill(engine, [str(n) for n in range(8)])
    nothing = where("FileName == 'x'")
    assert [reader.read(at, 8, 1, BIG, nothing).scanned for at in (0, 3, 6)] == [3, 6, 8]


def test_bytes_are_bounded_but_one_event_always_comes(engine, reader):
    fill(engine, ["x" * 600, "y" * 600, "z" * 5000])
    first = reader.read(0, 3, 10, 1000, None)
    assert (first.count, first.scanned) == (1, 1)
    assert reader.read(1, 3, 10, 1000, None).joined == b"y" * 600
    last = reader.read(2, 3, 10, 1000, None)
    assert (last.joined, last.scanned) == (b"z" * 5000, 3)


def test_a_cut_is_told(engine, reader):
    fill(engine, ["a" * 400, "b" * 400, "c" * 400])
    found = reader.read(0, 3, 10, 900, None)
    assert (found.count, found.scanned, found.cut) == (2, 2, True)


def test_a_result_too_large_to_hold_is_asked_for_in_smaller_parts(engine, reader):
    texts = [str(n) * 50_000 for n in range(10)]
    fill(engine, texts)
    got, at = [], 0
    while at < 10:
        found = reader.read(at, 10, 10, 60_000, None)
        assert len(found.joined) <= 60_000
        got += bytes(found.joined).split(b",")
        at = found.scanned
    assert got == [text.encode() for text in texts]


def test_values_of_filters_are_never_sql(engine, reader):
    fill(engine, ["1"], FileName=pa.array(["it's `a` {b} \\ *"]))
    assert reader.read(0, 1, 9, BIG, where(r'''FileName == "it's `a` {b} *"''')).count <= 1
    assert reader.read(0, 1, 9, BIG, where('FileName CONTAINS "\'"')).count == 1


def test_ends_and_times_of_the_log(engine, reader):
    assert (reader.first_seq(), reader.seq_before(10**18), reader.received_after(0)) == (0, 0, None)
    fill(engine, ["1", "2"], first=5, received=1000)
    fill(engine, ["3"], first=7, received=2000)
    assert reader.first_seq() == 5
    assert reader.seq_before(1000) == 0
    assert reader.seq_before(1500) == 6
    assert reader.received_after(0) == 1000
    assert reader.received_after(6) == 2000
    assert reader.received_after(7) is None


def test_void_ranges_are_passed_over_whatever_is_in_them(engine):
    prepare(engine)
    fill(engine, [f'{{"n":{n}}}' for n in range(1, 4)])
    fill(engine, ['"late"'] * 2, first=4)
    fill(engine, ['{"n":4}', '{"n":5}'], first=1004)
    reader = Reader(engine, lambda: Voids([Void(3, 1003)]))
    found, after = [], 0
    while after < 1005:
        part = reader.read(after, 1005, 2, BIG, None)
        assert part.scanned > after
        found += json.loads(b"[" + part.joined + b"]")
        after = part.scanned
    assert found == [{"n": n} for n in range(1, 6)]
    assert reader.rows(0, 1005)["seq"].to_pylist() == [1, 2, 3]
    assert reader.rows(3, 1005)["seq"].to_pylist() == [1004, 1005]
    assert (reader.next_after(2), reader.next_after(3)) == (2, 1003)
