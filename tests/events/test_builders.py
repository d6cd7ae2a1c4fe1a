from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

import deodar.demo
from deodar.events import VOCABULARY, check, decode, value
from deodar.events.builders import LINUX_MIX, START_US, EventBuilder

EVERY_TYPE = sorted(VOCABULARY.types)
RECORDED = Path(deodar.demo.__file__).with_name("recorded.ndjson")


OPTIONAL = {
    "LoginUid",
    "LoginUserName",
    "LogonSessionId",
    "LogonRemoteHost",
    "Tty",
    "ContainerId",
    "Capabilities",
    "FileCreationTime",
    "ConnectionResult",
    "ExitCode",
    "ExitSignal",
    "FileHeader",
    "FileEntropy",
    "FuzzyHash",
    "Ioa",
}
"""What an agent sends only of some processes, or of some files."""
BY_A_SERVER = {"ReceivedTimestamp", "IndexTimestamp"}


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[dict[str, Any]]]:
    """Events that Deodar's agent sent in earnest, by type."""
    by_type: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in RECORDED.read_bytes().splitlines():
        event = decode(line)
        by_type[event["EventType"]].append(event)
    return by_type


def test_events_have_the_fields_that_the_agent_sends(
    recorded: dict[str, list[dict[str, Any]]],
) -> None:
    builder = EventBuilder(2)
    assert len(recorded) >= 4
    for name, sent in recorded.items():
        always = set(sent[0]) - OPTIONAL
        for event in (builder.event(name) for _ in range(100)):
            assert set(event) - OPTIONAL == always
            order = {field: place for place, field in enumerate(event)}
            known = [order[field] for field in sent[0] if field in order]
            assert known == sorted(known)


def test_values_look_like_those_that_the_agent_sends(
    recorded: dict[str, list[dict[str, Any]]],
) -> None:
    built = EventBuilder(2).event("process")
    sent = recorded["process"][0]
    for name in built.keys() & sent.keys():
        assert type(built[name]) is type(sent[name]), name
    for name in ("Id", "UniquePid", "UniqueParentPid", "Md5", "Sha256"):
        assert len(built[name]) == len(sent[name])


def test_events_of_the_mix_are_as_long_as_those_that_the_agent_sends() -> None:
    length = len(EventBuilder(2).ndjson(3000)) / 3000
    sent = RECORDED.read_bytes()
    assert length == pytest.approx(len(sent) / sent.count(b"\n"), rel=0.25)


def test_no_event_has_an_empty_field_or_one_that_a_server_adds() -> None:
    builder = EventBuilder(2)
    for event in (builder.event(name) for name in EVERY_TYPE for _ in range(50)):
        assert "" not in event.values()
        assert not BY_A_SERVER & set(event)


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("name", EVERY_TYPE)
def test_every_type_can_be_built_and_is_valid(name: str, complete: bool) -> None:
    builder = EventBuilder(2, complete=complete)
    allowed = set(VOCABULARY.types[name].fields)
    for event in (builder.event(name) for _ in range(50)):
        assert event["EventType"] == name
        assert check(event) == []
        assert {f for f in VOCABULARY.fields if value(event, f) is not None} <= allowed


def test_every_field_of_the_vocabulary_occurs_in_complete_events() -> None:
    builder = EventBuilder(2, complete=True)
    events = [builder.event(name) for name in EVERY_TYPE for _ in range(200)]
    seen = {f for f in VOCABULARY.fields if any(value(e, f) is not None for e in events)}
    assert seen == set(VOCABULARY.fields)


def test_types_can_be_asked_for_by_alias() -> None:
    assert EventBuilder(1).event("amsi_scan")["EventType"] == "amsiscan"


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'dance'"):
        EventBuilder(1).event("dance")
    with pytest.raises(ValueError, match="'dance'"):
        EventBuilder(1, mix={"dance": 1})


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
