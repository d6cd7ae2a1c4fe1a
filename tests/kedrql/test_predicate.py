"""What a predicate does with events as they come; that it agrees with SQL is held in test_sql."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.events.builders import EventBuilder
from deodar.kedrql import parse, predicate

WRONG: list[Any] = [None, True, 1.5, [], {}, [None], {"Rules": 5}, {"Rules": [3, {"Name": 4}]}, 7]


@pytest.mark.parametrize("wrong", WRONG[:-1])
def test_a_value_of_another_type_counts_as_absent(wrong: Any) -> None:
    event = {"FileName": wrong, "FileSize": wrong, "Ioa": wrong, "System": wrong}
    assert predicate(parse("FileName == ''"))(event)
    assert predicate(parse("NOT FileSize >= -9223372036854775808"))(event)
    assert predicate(parse("Ioa.Rules.Name == '' AND Ioa.Severity == ''"))(event)
    assert predicate(parse("System.EventID.value != 1"))(event)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FILTER = predicate(
    parse("FileName > 'a' OR FileSize > 1 OR Ioa.Rules.Name == 'x*y*z' OR Ioa.Severity != 'low'")
)


@given(st.dictionaries(st.sampled_from(["FileName", "FileSize", "Ioa"]), json_values))
def test_no_event_makes_it_raise(event: dict[str, Any]) -> None:
    assert FILTER(event) in (True, False)


@pytest.mark.parametrize(
    "text",
    [
        "EventType == 'process'",
        "NOT EventType == 'process'",
        "EventType == 'process' AND FileName == 'bash'",
        "EventType == 'connection' OR EventType == 'filechange' OR EventType == 'portlisten'",
        "EventType == 'connection' AND RemotePort == 443 AND NOT Direction == 0",
        "Ioa.Rules.Techniques STARTS 'T1059'",
    ],
)
def test_filters_split_a_stream_of_real_looking_events(text: str) -> None:
    events = EventBuilder(7).events(2000)
    chosen = [e for e in events if predicate(parse(text))(e)]
    others = [e for e in events if predicate(parse(f"NOT ({text})"))(e)]
    assert chosen
    assert others
    assert len(chosen) + len(others) == len(events)
