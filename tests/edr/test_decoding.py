from __future__ import annotations

import json

import pytest

from deodar.edr.decoding import decode_lines
from deodar.edr.log.schema import HOT
from deodar.events.builders import EventBuilder
from deodar.events.vocabulary import VOCABULARY


def one(event: dict[str, object]) -> dict[str, object]:
    """Return the columns' values of one event."""
    decoded = decode_lines([json.dumps({"EventType": "process", **event}).encode()])
    assert decoded.dead == []
    return {name: column[0].as_py() for name, column in decoded.fields.items()}


def test_columns_say_what_the_events_say():
    events = EventBuilder(2).events(200)
    decoded = decode_lines([json.dumps(event).encode() for event in events])
    assert list(decoded.rows) == list(range(200))
    for name in HOT:
        absent = None if VOCABULARY.fields[name].kind == "integer" else ""
        assert decoded.fields[name].to_pylist() == [event.get(name, absent) for event in events]


@pytest.mark.parametrize("value", ["12", 12.0, True, None, [1], {"a": 1}, 2**63, -(2**63) - 1])
def test_an_integer_of_another_type_or_beyond_64_bits_is_absent(value):
    assert one({"SystemPid": value}).get("SystemPid") is None


@pytest.mark.parametrize("value", [12, 1.5, False, None, ["x"], {"a": "x"}])
def test_a_text_of_another_type_is_absent(value):
    assert one({"FileName": value})["FileName"] == ""


def test_an_event_with_a_wrong_value_keeps_its_others():
    found = one({"SystemPid": "12", "FileName": "x", "RemotePort": 5})
    assert (found["FileName"], found["RemotePort"]) == ("x", 5)


def test_an_id_of_another_type_is_an_id():
    assert one({"Id": 5})["Id"] == "5"


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b'"x"', b'{"EventType":"x",}', b'{"EventType":"x","q":"\\ud800"}', b"[" * 9999],
)
def test_what_is_no_event_is_a_dead_letter_and_the_rest_goes_on(line):
    good = b'{"EventType":"process"}'
    decoded = decode_lines([good, line, good])
    assert list(decoded.rows) == [0, 2]
    assert decoded.lines == [good, good]
    assert [(one.index, one.raw) for one in decoded.dead] == [(1, line)]
    assert decoded.dead[0].reason


def test_nothing_is_nothing():
    decoded = decode_lines([])
    assert (list(decoded.rows), list(decoded.lines), decoded.dead) == ([], [], [])
