from __future__ import annotations

from collections import Counter

import pytest

from deodar.events import VOCABULARY, check, decode, value
from deodar.events.builders import LINUX_MIX, START_US, EventBuilder

EVERY_TYPE = sorted(VOCABULARY.types)


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_every_type_can_be_built_and_is_valid(name: str) -> None:
    builder = EventBuilder(2)
    allowed = set(VOCABULARY.types[name].fields)
    for event in (builder.event(name) for _ in range(50)):
        assert event["EventType"] == name
        assert check(event) == []
        assert {f for f in VOCABULARY.fields if value(event, f) is not None} <= allowed


def test_every_field_of_the_vocabulary_occurs() -> None:
    builder = EventBuilder(2)
    events = [builder.event(name) for name in EVERY_TYPE for _ in range(200)]
    seen = {f for f in VOCABULARY.fields if any(value(e, f) is not None for e in events)}
    assert seen == set(VOCABULARY.fields)


def test_types_can_be_asked_for_by_alias() -> None:
    assert EventBuilder(1).event("amsi_scan")["EventType"] == "amsiscan"


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'dns'"):
        EventBuilder(1).event("dns")
    with pytest.raises(ValueError, match="'dns'"):
        EventBuilder(1, mix={"dns": 1})


def test_the_same_seed_gives_the_same_events_and_another_one_others() -> None:
    assert EventBuilder(3).ndjson(300) == EventBuilder(3).ndjson(300)
    assert EventBuilder(3).ndjson(300) != EventBuilder(4).ndjson(300)


def test_lines_hold_the_same_events_as_objects() -> None:
    lines = EventBuilder(3).ndjson(50).splitlines()
    assert [decode(line) for line in lines] == EventBuilder(3).events(50)


def test_times_rise_and_ids_are_unique() -> None:
    events = EventBuilder(3, start=10**15).events(2000)
    times = [event["Timestamp"] for event in events]
    assert times == sorted(set(times))
    assert times[0] > 10**15
    assert len({event["Id"] for event in events}) == 2000


def test_ids_are_random_uuids() -> None:
    identifier = EventBuilder(3).event()["Id"]
    assert len(identifier) == 36
    assert identifier[14] == "4"
    assert identifier[19] in "89ab"


def test_the_default_mix_is_linux_and_as_weighed() -> None:
    events = EventBuilder(9).events(5000)
    counts = Counter(event["EventType"] for event in events)
    assert set(counts) == set(LINUX_MIX)
    assert counts["process"] / 5000 == pytest.approx(0.36, abs=0.03)
    windows = [e for e in events if e["OsFamily"] != "Linux"]
    assert {event["EventType"] for event in windows} == {"windowsevent"}


def test_the_mix_can_be_chosen() -> None:
    builder = EventBuilder(9, mix={"connection": 1, "portlisten": 1})
    assert {e["EventType"] for e in builder.events(100)} == {"connection", "portlisten"}


def test_the_host_has_the_given_name() -> None:
    event = EventBuilder(1, host="web-1").event("process")
    assert event["HostName"] == "web-1"
    assert event["Timestamp"] > START_US


def test_some_events_are_marked_by_rules_of_unequal_size() -> None:
    marked = [e for e in EventBuilder(1).events(5000) if "Ioa" in e]
    assert 10 < len(marked) < 200
    assert any(
        len(value(e, "Ioa.Rules.Techniques")) != len(value(e, "Ioa.Rules.Tactics")) for e in marked
    )
