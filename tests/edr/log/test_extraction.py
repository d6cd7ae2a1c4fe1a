from __future__ import annotations

import json

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deodar import kedrql
from deodar.edr.ingest import Origin, decode
from deodar.edr.log.packet import block
from deodar.edr.log.schema import TABLE, prepare, quoted
from deodar.events import codec

NAMES = ("x", "y", "'\\\"", "é*\n", "12", "")
TEXTS = st.sampled_from(("FileName", "ProductName", "Ioa.Severity", "System.Channel.value"))
NUMBERS = st.sampled_from(("SystemPid", "ExitCode", "System.EventID.value"))
LISTS = st.sampled_from(("Ioa.Rules.Name", "Ioa.Rules.Techniques"))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from((0, 1, 12, -5, 2**63 - 1, -(2**63), 1.0, 12.5, -0.5)),
    st.sampled_from(NAMES),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=3),
)
LOOSE = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
RULE = st.fixed_dictionaries({}, optional={"Name": LOOSE, "Techniques": LOOSE, "Id": LOOSE})
RULES = st.one_of(st.lists(st.one_of(RULE, SCALARS), max_size=3), RULE, SCALARS)
IOA = st.fixed_dictionaries({}, optional={"Rules": RULES, "Severity": LOOSE})
VALUE = st.one_of(st.fixed_dictionaries({}, optional={"value": LOOSE}), LOOSE)
SYSTEM = st.fixed_dictionaries(
    {}, optional={"EventID": st.one_of(VALUE, st.lists(VALUE, max_size=2)), "Channel": VALUE}
)
EVENTS = st.fixed_dictionaries(
    {"EventType": st.sampled_from(("process", "new_type"))},
    optional={
        "FileName": LOOSE,
        "ProductName": LOOSE,
        "SystemPid": LOOSE,
        "ExitCode": LOOSE,
        "Ioa": st.one_of(IOA, SCALARS, st.lists(st.one_of(IOA, SCALARS), max_size=2)),
        "System": st.one_of(SYSTEM, SCALARS),
    },
)


def text_value(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("*", "\\*") + "'"


TEXT_CONDITIONS = st.builds(
    lambda field, operator, value: f"{field} {operator} {text_value(value)}",
    st.one_of(TEXTS, LISTS),
    st.sampled_from(("==", "!=")),
    st.sampled_from(NAMES),
) | st.builds(
    lambda field, value: f"{field} == '*{text_value(value)[1:-1]}*'",
    st.one_of(TEXTS, LISTS),
    st.sampled_from(NAMES),
)
CONDITIONS = TEXT_CONDITIONS | st.builds(
    lambda field, operator, value: f"{field} {operator} {value}",
    NUMBERS,
    st.sampled_from(("==", "!=", "<", "<=", ">", ">=")),
    st.sampled_from((0, 1, 12, -5, 2**63 - 1, -(2**63))),
)
FILTERS = st.recursive(
    CONDITIONS,
    lambda inner: st.builds(
        lambda a, word, b, no: f"{no}({a}) {word} ({b})",
        inner,
        st.sampled_from(("AND", "OR")),
        inner,
        st.sampled_from(("", "NOT ")),
    ),
    max_leaves=3,
)


@pytest.fixture
def log(engine):
    prepare(engine)
    return engine


def store(engine, lines: list[bytes]) -> list[str]:
    """Put events in as packets of agents come in; returns their texts in the log."""
    packet, dead = decode(Origin("a/s", 1, "a"), b"\n".join(lines), len(lines))
    assert dead == []
    assert packet is not None
    engine.command(f"TRUNCATE TABLE {TABLE}")
    engine.insert(TABLE, block([packet], 1, 1000))
    return packet.raw.to_pylist()


def found(engine, text: str) -> list[int]:
    """Return the numbers of the events that pass a filter, from 0."""
    sql = kedrql.to_sql(kedrql.parse(text), quoted)
    query = f"SELECT seq FROM {TABLE} WHERE {sql.text} ORDER BY seq"
    return [seq - 1 for seq in engine.query(query, sql.parameters)["seq"].to_pylist()]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(EVENTS, min_size=1, max_size=20), st.lists(FILTERS, min_size=1, max_size=6), st.data()
)
def test_the_log_answers_as_the_predicate_does(log, events, filters, data):
    ascii_only = data.draw(st.booleans())
    lines = [json.dumps(event, ensure_ascii=ascii_only).encode() for event in events]
    texts = store(log, lines)
    for text in filters:
        passes = kedrql.predicate(kedrql.parse(text))
        expected = [n for n, stored in enumerate(texts) if passes(codec.decode(stored.encode()))]
        assert found(log, text) == expected, text


def test_an_integer_beyond_64_bits_counts_as_absent(log):
    big = [b'{"EventType":"process","SystemPid":%d,"ExitCode":%d}' % (n, n) for n in (2**63, 5)]
    store(log, big)
    assert found(log, "SystemPid > 1") == [1]
    assert found(log, "ExitCode > 1") == [1]


def test_of_a_field_given_twice_columns_have_the_last_and_the_text_gives_the_first(log):
    twice = b'"FileName":"a","FileName":"b","ProductName":"a","ProductName":"b"'
    store(log, [b'{"EventType":"process","Id":"i",%s}' % twice])
    assert found(log, "FileName == 'b' AND ProductName == 'a'") == [0]


def test_an_event_with_a_number_that_no_type_holds_is_found_by_columns_only(log):
    store(log, [b'{"EventType":"process","SystemPid":1,"ExitCode":1,"Other":1e400}'])
    assert found(log, "SystemPid == 1") == [0]
    assert found(log, "ExitCode == 1") == []


def test_names_and_values_may_be_written_with_escapes(log):
    text = rb'{"EventType":"process","Product\u004eame":"\u00e9\ud83d\ude00"}'
    store(log, [text])
    assert msgspec.json.decode(text)["ProductName"] == "é😀"
    assert found(log, "ProductName == 'é😀'") == [0]
    assert isinstance(pa.array([text]), pa.Array)
