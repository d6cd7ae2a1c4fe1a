from __future__ import annotations

import json
from types import SimpleNamespace

import pyarrow as pa
import pytest
from tests.siem.pipeline.source import Source

from deodar.columnar.program import compile as compile_spec
from deodar.events.builders import EventBuilder
from deodar.kit.body import decode
from deodar.kit.journal import Journal, JournalError, Record
from deodar.siem.collector.prepare import PACKING, Preparer, Stamp, without_collection
from deodar.siem.collector.record import RecordHeader, encode
from deodar.siem.destinations.forms import FORMS, render
from deodar.siem.normalizers import loader
from deodar.siem.pipeline.settings import open_line, read
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


def staged(tmp_path, journal, journal_bytes=1 << 30, **tables):
    empty = {"filters": [], "enrichment": [], "aggregation": [], "dictionaries": []}
    settings = read(SimpleNamespace(**(empty | tables)), "here")
    line = open_line(settings, tmp_path, Source(journal), journal_bytes)
    return Preparer(compile_spec(loader.load("kedr")), STAMP, IDENTITY, line)


def test_the_stages_work_on_what_was_normalized(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        events = EventBuilder(7).events(60)
        made = staged(
            tmp_path,
            journal,
            filters=[{"name": "f", "code": "DeviceEventCategory != 'process'"}],
            enrichment=[{"name": "e", "kind": "constant", "target": "Reason", "constant": "x"}],
        )
        prepared = made.prepare(record(answer(events), number=1))
        found = rows(prepared)
        assert prepared.normalized == 60
        assert 0 < prepared.rows == len(found) == 60 - prepared.stages.filtered < 60
        assert {row["Reason"] for row in found} == {"x"}
        assert all(row["DeviceEventCategory"] != "process" for row in found)


def test_what_comes_out_of_aggregation_has_the_collectors_columns_and_ids_of_its_own(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        rule = {"name": "a", "identical": ["DeviceEventCategory"], "threshold": 10}
        made = staged(
            tmp_path, journal, aggregation=[{**rule, "filter": "DeviceEventCategory = 'process'"}]
        )
        body = answer(EventBuilder(7).events(200))
        journal.append(b"", body)
        prepared = made.prepare(record(body, number=1))
        found = rows(prepared)
        assert made.prepare(record(body, number=1)).payload == prepared.payload
        out = [row for row in found if row["Type"] == 2]
        assert {row["BaseEventCount"] for row in out} == {10}
        assert {row["DeviceEventCategory"] for row in out} == {"process"}
        assert len({row["ID"] for row in found}) == len(found)
        assert {row["BatchTime"] for row in found} == {found[0]["BatchTime"]}
        assert prepared.stages.aggregated_out == len(out) > 0
        tick = made.prepare(record(b"", kind="tick", number=2))
        assert (tick.rows, tick.stages.aggregated_out) == (0, 0)  # no time has gone by
        later = RecordHeader("tick", "s", "t", "t", "", FETCHED_US + 61_000_000, has_events=False)
        tick = made.prepare(Record(3, encode(later), b""))
        assert tick.rows == tick.stages.aggregated_out == 1
        kept = json.loads(tick.body)  # if a destination refuses it
        assert kept["BaseEventCount"] == rows(tick)[0]["BaseEventCount"] < 10


def test_a_journal_that_refuses_is_no_fault_of_the_record(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        rule = {"name": "a", "identical": ["Name"], "max_bytes": 4096}
        made = staged(tmp_path, journal, journal_bytes=1, aggregation=[rule])
        with pytest.raises(JournalError):  # noqa: PT012  the loop is what fills it
            for number in range(1, 1000):
                made.prepare(record(answer(EventBuilder(number).events(50)), number=number))


@pytest.mark.parametrize("form", FORMS)
def test_what_comes_out_of_aggregation_can_leave_in_every_form(tmp_path, form):
    with Journal(tmp_path / "journal") as journal:
        rule = {"name": "a", "identical": ["DeviceHostName"], "threshold": 2}
        made = staged(tmp_path, journal, aggregation=[rule])
        prepared = made.prepare(record(answer(EventBuilder(8).events(20)), number=1))
        lines = render(form, prepared.events)
        assert len(lines) == prepared.rows > 0
        assert all(b"\n" not in line for line in lines)
