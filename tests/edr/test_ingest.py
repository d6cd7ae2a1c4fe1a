from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.columnar.dead_letters import DeadLetterStore
from deodar.edr import ingest
from deodar.edr.errors import PartlyTaken
from deodar.edr.ingest import Ingest, Origin, TooManyEvents
from deodar.edr.log import eventlog
from deodar.edr.settings import Ingest as Bounds
from deodar.events.builders import EventBuilder

AGENT = Origin("agent-7/spool", 3, agent_id="agent-7")
IMPORT = Origin("import/1", 3)


def decoded(body: bytes, origin: Origin = IMPORT):
    return ingest.decode(origin, body, 1000)


def texts(body: bytes, origin: Origin = IMPORT) -> list[dict[str, object]]:
    packet, dead = decoded(body, origin)
    assert dead == []
    assert packet is not None
    return [json.loads(text) for text in packet.raw.to_pylist()]


def test_events_keep_what_they_say_and_get_the_time_of_receipt():
    event = {"EventType": "process", "Id": "a", "Unknown": {"x": [1, None]}, "FileName": "é"}
    found = texts(json.dumps(event).encode())[0]
    assert found.pop("ReceivedTimestamp") > 1_700_000_000_000_000
    assert found == event


def test_the_columns_say_what_the_text_says():
    packet, _ = decoded(b'{"EventType":"process","Timestamp":5,"FileName":"x"}', AGENT)
    text = json.loads(packet.raw[0].as_py())
    row = packet.fields.to_pylist()[0]
    for name in ("AgentId", "Timestamp", "FileName"):
        assert row[name] == text[name]


def test_an_absent_id_is_made_and_the_same_for_a_repeat():
    body = b'{"EventType":"process"}\n{"EventType":"process","Id":"given"}\n{"EventType":"module"}'
    first, again = ([event["Id"] for event in texts(body)] for _ in range(2))
    assert first == again
    assert first[1] == "given"
    assert len(set(first)) == 3
    other = [event["Id"] for event in texts(body, Origin("import/1", 4))]
    assert set(other) & set(first) == {"given"}


def test_an_empty_id_counts_as_absent_and_is_not_there_twice():
    packet, _ = decoded(b'{"EventType":"process","Id":""}')
    assert packet.raw[0].as_py().count('"Id"') == 1
    assert json.loads(packet.raw[0].as_py())["Id"]


@pytest.mark.parametrize("claimed", ["agent-7", "somebody-else", ""])
def test_the_agents_id_is_the_certificates(claimed):
    body = json.dumps({"EventType": "process", "Id": "a", "AgentId": claimed}).encode()
    packet, _ = decoded(body + b"\n" + body, AGENT)
    for text in packet.raw.to_pylist():
        assert text.count('"AgentId"') == 1
        assert json.loads(text)["AgentId"] == "agent-7"


def test_a_claimed_time_of_receipt_is_replaced_and_all_else_kept_to_the_byte():
    body = b'{"EventType":"process","ReceivedTimestamp":1,"Big":12345678901234567890123,"F":1e400}'
    text = decoded(body)[0].raw[0].as_py()
    assert text.count("ReceivedTimestamp") == 1
    assert '"Big":12345678901234567890123' in text
    assert '"F":1e400' in text


def test_an_import_keeps_the_agents_id_of_its_events():
    assert texts(b'{"EventType":"process","AgentId":"then"}')[0]["AgentId"] == "then"
    assert "AgentId" not in texts(b'{"EventType":"process"}')[0]


def test_bad_lines_are_told_by_number_and_reason():
    body = b'\n{"EventType":"process"}\r\n{"Event\n\n\xff\n"text"\n  {"EventType":"module"}  \n'
    packet, dead = decoded(body)
    assert [json.loads(text)["EventType"] for text in packet.raw.to_pylist()] == [
        "process",
        "module",
    ]
    assert sorted(letter.index for letter in dead) == [2, 4, 5]
    assert all(letter.reason for letter in dead)
    assert {letter.raw for letter in dead} == {b'{"Event', b"\xff", b'"text"'}


def test_an_event_must_say_its_type():
    packet, dead = decoded(b'{}\n{"EventType":""}\n{"EventType":"new_type"}\n{"Id":"a"}')
    assert [json.loads(text)["EventType"] for text in packet.raw.to_pylist()] == ["new_type"]
    assert [(one.index, one.path) for one in dead] == [(n, "EventType") for n in (0, 1, 3)]


def test_a_packet_without_any_event_is_none():
    assert decoded(b"")[0] is None
    assert decoded(b"\n \n") == (None, [])
    packet, dead = decoded(b"nonsense")
    assert packet is None
    assert len(dead) == 1


def test_more_events_than_allowed_are_refused():
    with pytest.raises(TooManyEvents, match="2 are allowed"):
        ingest.decode(IMPORT, b"{}\n{}\n{}", 2)


def test_all_kinds_of_events_are_taken():
    body = EventBuilder(3).ndjson(500)
    packet, dead = decoded(body, AGENT)
    assert dead == []
    assert packet.events == 500
    assert packet.fields.num_rows == 500


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40).filter(lambda line: b"\n" not in line),
            st.dictionaries(
                st.sampled_from(["EventType", "Id", "AgentId", "ReceivedTimestamp", "Uid", ""]),
                st.one_of(
                    st.none(),
                    st.integers(),
                    st.text(max_size=5),
                    st.booleans(),
                    st.lists(st.integers(), max_size=2),
                ),
                max_size=5,
            ).map(lambda event: json.dumps(event).encode()),
        ),
        max_size=6,
    ),
    st.sampled_from([AGENT, IMPORT]),
)
def test_whatever_comes_every_line_is_an_event_or_a_dead_letter(lines, origin):
    packet, dead = decoded(b"\n".join(lines), origin)
    kept = [] if packet is None else packet.raw.to_pylist()
    assert len(kept) + len(dead) == sum(bool(line.strip()) for line in lines)
    for text in kept:
        event = json.loads(text)
        assert event["ReceivedTimestamp"] > 1_700_000_000_000_000
        assert event["Id"] not in ("", None)
        assert event["EventType"] not in ("", None)
        assert "\n" not in text


@pytest.fixture
async def way_in(engine, tmp_path):
    letters = DeadLetterStore(tmp_path / "dead")
    with ThreadPoolExecutor(2) as executor:
        async with eventlog.running(engine, Bounds(group_delay=0.01)) as log:
            yield Ingest(log, letters, 1000, executor), log, letters


async def test_dead_letters_are_kept_with_their_line_in_the_file(way_in):
    taking, _, letters = way_in
    origin = Origin("import/1", 2, first_line=5001)
    receipt = await taking.take(origin, b'{"EventType":"process"}\nbroken')
    assert (receipt.events, receipt.dead, receipt.duplicate) == (1, 1, False)
    (stored,) = letters.list()
    assert (stored.letter.index, stored.letter.source) == (5002, "import/1")
    assert stored.batch_id == "import/1#2"


async def test_a_repeat_adds_neither_events_nor_dead_letters(way_in):
    taking, log, letters = way_in
    for _ in range(2):
        receipt = await taking.take(IMPORT, b'{"EventType":"process"}\nbroken')
    assert receipt.duplicate
    for _ in range(2):
        await taking.take(Origin("import/2", 1), b"only broken")
    assert log.watermark.value == 1
    assert letters.count == 2


async def test_what_the_store_cannot_keep_is_buried(way_in, engine):
    taking, _, letters = way_in
    engine.command("ALTER TABLE edr_events DROP COLUMN RemotePort")
    try:
        receipt = await taking.take(IMPORT, b'{"EventType":"process","RemotePort":1}')
        assert (receipt.events, receipt.dead) == (0, 1)
        assert "RemotePort" in letters.list()[0].letter.reason
        after = await taking.take(Origin("import/1", 4), b'{"EventType":"process"}')
        assert after.events == 1
    finally:
        engine.command("ALTER TABLE edr_events ADD COLUMN RemotePort Nullable(Int64)")


async def test_of_a_packet_that_is_partly_there_nothing_is_taken_or_buried(way_in):
    taking, log, letters = way_in
    event = b'{"EventType":"process"}'
    await taking.take(Origin("a/1", 5, first=1), event)
    longer = Origin("a/1", 9, first=4)
    with pytest.raises(PartlyTaken):
        await taking.take(longer, event + b"\nbroken")
    with pytest.raises(PartlyTaken):
        await taking.bury(longer, "cannot be unpacked", b"x")
    assert (log.watermark.value, letters.count) == (1, 0)
    rest = await taking.take(Origin("a/1", 9, first=6), event)
    assert (rest.packet, rest.events) == (9, 1)


async def test_packets_of_one_source_are_taken_in_the_order_of_the_calls(way_in):
    taking, log, _ = way_in
    big = EventBuilder(1).ndjson(900)
    receipts = await asyncio.gather(
        *(
            taking.take(Origin("a/1", n), big if n == 1 else b'{"EventType":"module"}')
            for n in range(1, 8)
        )
    )
    assert not any(receipt.duplicate for receipt in receipts)
    assert log.watermark.value == 900 + 6


def test_lines_are_split_without_blank_ones():
    numbers, lines, dead = ingest.split(b"\n a \r\n\n\xffb\nc")
    assert (list(numbers), lines) == ([1, 4], [b"a", b"c"])
    assert [letter.index for letter in dead] == [3]
    assert isinstance(pa.array(lines), pa.Array)
