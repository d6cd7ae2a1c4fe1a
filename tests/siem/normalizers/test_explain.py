from __future__ import annotations

import json

import pytest

from deodar.columnar import steps
from deodar.columnar.errors import Refused
from deodar.siem.normalizers.explain import Way, describe, explain, lines
from deodar.siem.normalizers.loader import load

KEDR = load("kedr")


def test_the_way_of_each_filled_field_is_told() -> None:
    event = {
        "EventType": "connection",
        "Timestamp": 1_750_000_000_123_456,
        "RemoteIp": "192.0.2.1",
        "Protocol": 6,
        "StartupParameters": "curl x",
        "Tty": "pts/1",
    }
    ways = {way.target: way for way in explain(KEDR, json.dumps(event).encode())}
    assert ways["DestinationAddress"] == Way("DestinationAddress", "RemoteIp", value="192.0.2.1")
    assert ways["EndTime"].steps == ("µs to ms",)
    assert ways["EndTime"].value == 1_750_000_000_123
    assert ways["TransportProtocol"].steps == ("dictionary of 12",)
    assert ways["DeviceCustomString4"].label == "Command line"
    assert ways["DeviceProduct"].source == "“KATA”"
    assert ways["Extra.Tty"].value == "pts/1"
    assert "SourceAddress" not in ways


def test_the_lines_for_a_type_come_in_the_order_of_right_of_way() -> None:
    registry = [way.source for way in lines(KEDR, "registry") if way.target == "FlexString2"]
    assert registry == ["UniquePid", "PreviousKeyName", "UniquePid", "SignatureSubjectName"]
    assert [w.source for w in lines(KEDR, "no such type") if w.target == "Name"] == []


def test_what_can_be_no_row_is_not_explained() -> None:
    with pytest.raises(Refused):
        explain(KEDR, b"[]")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (steps.Divide(60), "divided by 60"),
        (steps.Lower(), "lower"),
        (steps.Replace("a", "b"), "replace 'a' 'b'"),
        (steps.Regexp("(a)"), "group 1 of (a)"),
    ],
)
def test_steps_in_words(step: steps.Step, words: str) -> None:
    assert describe(step) == words
