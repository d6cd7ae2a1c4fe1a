from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.events import EventError, Problem, check, decode, encode, value
from deodar.events.builders import EventBuilder

GOOD: dict[str, Any] = {"Timestamp": 1, "EventType": "process", "Id": "a"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values))
def test_what_is_encoded_is_decoded_and_is_one_line(event: dict[str, Any]) -> None:
    line = encode(event)
    assert b"\n" not in line
    assert decode(line) == event


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not valid JSON"),
        (b'{"a": 1', "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b"[1]", "expected a JSON object, got a list"),
        (b"null", "expected a JSON object, got null"),
    ],
)
def test_what_is_no_event_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(EventError, match=said):
        decode(data)


@pytest.mark.parametrize("bad", [2**64, "\ud800", {1, 2}])
def test_what_json_cannot_hold_is_refused(bad: Any) -> None:
    with pytest.raises(EventError, match="cannot be written"):
        encode({"FileName": bad})


@given(st.binary())
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        assert isinstance(decode(data), dict)
    except EventError as error:
        assert error.reason in str(error)  # noqa: PT017


IOA = {
    "Severity": "high",
    "Rules": [
        {"Name": "one", "Techniques": ["T1", "T2"]},
        {"Techniques": []},
        {"Name": "two", "Techniques": ["T3"]},
    ],
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("FileName", "bash"),
        ("Md5", None),
        ("Ioa.Severity", "high"),
        ("Ioa.Confidence", None),
        ("Ioa.Rules.Name", ["one", "two"]),
        ("Ioa.Rules.Techniques", ["T1", "T2", "T3"]),
        ("Ioa.Rules.Id", []),
        ("System.EventID.value", None),
        ("FileName.x", None),
    ],
)
def test_a_value_is_found_by_its_path(name: str, expected: Any) -> None:
    assert value({"FileName": "bash", "Ioa": IOA}, name) == expected


def test_an_empty_list_of_rules_gives_an_empty_list() -> None:
    assert value({"Ioa": {"Rules": []}}, "Ioa.Rules.Name") == []
    assert value({"Ioa": {}}, "Ioa.Rules.Name") is None


@given(json_values)
def test_a_lookup_never_raises(found: Any) -> None:
    value({"Ioa": found}, "Ioa.Rules.Name")


def test_good_events_have_no_problems() -> None:
    builder = EventBuilder(5)
    assert [check(event) for event in builder.events(500)] == [[]] * 500


def test_unknown_fields_and_nulls_are_left_alone() -> None:
    assert check(GOOD | {"Later": {"a": [1]}, "FileName": None, "Ioa": {"New": 1}}) == []


PROBLEMS = [
    ({"FileSize": "5"}, "FileSize", "expected an integer, got a string"),
    ({"FileSize": 5.0}, "FileSize", "expected an integer, got a number with a fraction"),
    ({"FileSize": True}, "FileSize", "expected an integer, got a boolean"),
    ({"FileSize": 2**63}, "FileSize", "does not fit into 64 bits"),
    ({"FileSize": -(2**63) - 1}, "FileSize", "does not fit into 64 bits"),
    ({"FileName": 5}, "FileName", "expected a string, got an integer"),
    ({"FileName": {}}, "FileName", "expected a string, got an object"),
    ({"FileName": "a\ud800"}, "FileName", "lone surrogate"),
    ({"EventType": "amsi_scan"}, "EventType", "it is written 'amsiscan'"),
    ({"EventType": "x" * 999}, "EventType", "no event type is named 'xxx"),
    ({"EventType": 5}, "EventType", "expected a string, got an integer"),
    ({"Id": None}, "Id", "missing"),
    ({"Ioa": []}, "Ioa", "expected an object, got a list"),
    ({"Ioa": {"Severity": 3}}, "Ioa.Severity", "expected a string"),
    ({"Ioa": {"Rules": {}}}, "Ioa.Rules", "expected a list of objects, got an object"),
    ({"Ioa": {"Rules": ["x"]}}, "Ioa.Rules[0]", "expected an object, got a string"),
    ({"Ioa": {"Rules": [{}, {"Name": 1}]}}, "Ioa.Rules[1].Name", "expected a string"),
    ({"Ioa": {"Rules": [{"Techniques": ["a", 2]}]}}, "Ioa.Rules[0].Techniques[1]", "a string"),
    ({"System": {"EventID": {"value": "1"}}}, "System.EventID.value", "expected an integer"),
    ({"System": {"EventID": 1}}, "System.EventID", "expected an object"),
    ({5: 1}, "5", "a field name must be a string"),
]


@pytest.mark.parametrize(("change", "path", "said"), PROBLEMS)
def test_a_problem_says_where_and_why(change: dict[Any, Any], path: str, said: str) -> None:
    (problem,) = check(GOOD | change)
    assert problem.path == path
    assert said in problem.reason
    assert len(problem.reason) < 200


def test_all_problems_are_told_at_once() -> None:
    reason = "missing, but every event needs it"
    assert check({}) == [Problem(name, reason) for name in ("Timestamp", "EventType", "Id")]


def test_deep_nesting_does_no_harm() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    event = GOOD | {"Ioa": {"Rules": deep}}
    assert [problem.path for problem in check(event)] == ["Ioa.Rules[0]"]
    assert value(event, "Ioa.Rules.Name") == []
