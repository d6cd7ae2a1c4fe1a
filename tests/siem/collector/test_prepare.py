from __future__ import annotations

import json

import pyarrow as pa
import pytest

from deodar.columnar.program import compile as compile_spec
from deodar.events.builders import EventBuilder
from deodar.kit.body import decode
from deodar.kit.journal import Record
from deodar.siem.collector.prepare import PACKING, Preparer, Stamp, without_collection
from deodar.siem.collector.record import RecordHeader, encode
from deodar.siem.normalizers import loader
from deodar.siem.storage.model import MODEL

FETCHED_US = 1_795_310_453_954_321
STAMP = Stamp("service-id", "kedr", "tenant-id")
IDENTITY = "4305f15a-ef34-42ab-b2a2-a468a40bb6f6"


@pytest.fixture(scope="module")
def preparer():
    return Preparer(compile_spec(loader.load("kedr")), STAMP, IDENTITY)


def record(body: bytes, kind="answer", number=7) -> Record:
    header = RecordHeader(kind, "s", "t0", "t1", "https://edr:443", FETCHED_US)
    return Record(number, encode(header), body)


def answer(events) -> bytes:
    return json.dumps({"events": events, "continuationToken": "t1"}).encode()


def rows(prepared) -> list[dict]:
    plain = decode(prepared.payload, PACKING, max_plain=1 << 30)
    return pa.ipc.open_stream(plain).read_all().to_pylist()


def test_every_event_gets_the_collectors_columns(preparer):
    events = EventBuilder(1).events(20)
    prepared = preparer.prepare(record(answer(events)))
    assert (prepared.rows, prepared.received, prepared.letters) == (20, 20, ())
    assert prepared.batch_id == f"{IDENTITY}-7"
    found = rows(prepared)
    assert len({row["ID"] for row in found}) == 20
    for row in found:
        assert row["Type"] == 1
        assert row["ServiceName"] == "kedr"
        assert row["TenantID"] == "tenant-id"
        assert row["BatchID"] == prepared.batch_id
        assert row["BatchTime"].timestamp() == FETCHED_US // 1000 / 1000
        assert set(row) - {"BatchID", "BatchTime"} <= set(MODEL)


def test_the_same_record_gives_the_same_bytes(preparer):
    body = answer(EventBuilder(2).events(50))
    first, second = (without_collection(preparer, record(body)) for _ in range(2))
    assert first.payload == second.payload
    assert rows(first)[0]["ID"] != rows(preparer.prepare(record(body, number=8)))[0]["ID"]


def test_bad_events_become_dead_letters_and_the_others_keep_their_ids(preparer):
    events = EventBuilder(3).events(3)
    clean = rows(preparer.prepare(record(answer(events))))
    spoiled = preparer.prepare(record(answer([events[0], "no event", events[2]])))
    assert [letter.index for letter in spoiled.letters] == [1]
    assert spoiled.letters[0].source == "https://edr:443"
    assert [row["ID"] for row in rows(spoiled)] == [clean[0]["ID"], clean[2]["ID"]]


def test_what_can_be_saved_of_a_broken_answer_is_saved(preparer):
    one, two = (json.dumps(event) for event in EventBuilder(4).events(2))
    body = f'{{"events":[{one},{{"EventType":oops}},{two}],"continuationToken":"t1"}}'.encode()
    prepared = preparer.prepare(record(body))
    assert prepared.rows == 2
    assert len(prepared.letters) == 1
    assert b"oops" in prepared.letters[0].raw


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b'{"events":"x"}', b"[" * 100_000])
def test_a_body_that_cannot_be_read_is_one_dead_letter(preparer, body):
    prepared = preparer.prepare(record(body))
    assert prepared.payload is None
    assert len(prepared.letters) == 1


def test_warming_up_changes_nothing(preparer):
    body = answer(EventBuilder(6).events(2))
    before = preparer.prepare(record(body))
    preparer.warm_up()
    assert preparer.prepare(record(body)) == before


def test_a_header_that_cannot_be_read_stops_nothing(preparer):
    prepared = preparer.prepare(Record(9, b"{", b"body"))
    assert prepared.number == 9
    assert prepared.letters[0].raw == b"body"


def test_a_reset_and_an_empty_answer_have_nothing_to_store(preparer):
    for prepared in (
        preparer.prepare(record(b"", kind="reset")),
        preparer.prepare(record(answer([]))),
    ):
        assert (prepared.payload, prepared.letters, prepared.rows) == (None, (), 0)
