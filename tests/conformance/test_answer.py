from __future__ import annotations

import json
import time

import pytest

from deodar.events.builders import EventBuilder

TYPES = {
    "process",
    "process_terminate",
    "module",
    "connection",
    "applock",
    "blockdocument",
    "filechange",
    "windowsevent",
    "registry",
    "portlisten",
    "driver",
    "threatdetect",
    "threatprocessingresult",
    "amsiscan",
    "process_interpretated_file_run",
    "process_console_interactive_input",
}


@pytest.fixture(scope="module")
def script(kata):
    return kata.accepted()


@pytest.mark.row("1.3", "the answer is one JSON object with events and continuationToken")
def test_the_form_of_an_answer(kata, script):
    answer = script.get(filter=kata.put_marked(2))
    assert set(answer.json) == {"events", "continuationToken"}
    assert [type(event) for event in answer.json["events"]] == [dict, dict]
    assert isinstance(answer.token, str)


@pytest.mark.row("1.3", "an answer without events has an empty list")
def test_an_empty_list(script):
    assert script.get(filter="HostName == 'nobody'").json["events"] == []


@pytest.mark.row("1.3", "Content-Type is application/octet-stream")
def test_the_content_type_switches_without_a_restart(kata, script):
    assert script.get(max_events=1).headers["content-type"] == "application/json"
    kata.settings.set("events_api.content_type", "application/octet-stream")
    try:
        end = time.monotonic() + 20
        while (answer := script.get(max_events=1)).headers["content-type"] == "application/json":
            assert time.monotonic() < end
            time.sleep(0.1)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert set(json.loads(answer.body)) == {"events", "continuationToken"}
        assert script.get(max_events="x").headers["content-type"] == "application/json"
    finally:
        kata.settings.reset("events_api.content_type")


@pytest.mark.row("1.3", "Timestamp is in microseconds, an integer")
def test_times_are_microseconds(kata, script):
    builder = EventBuilder(3)
    events = [{**event, "HostName": "times"} for event in builder.events(20)]
    before = time.time_ns() // 1000
    kata.put(*events)
    got = script.get(filter="HostName == 'times'").json["events"]
    assert [event["Timestamp"] for event in got] == [event["Timestamp"] for event in events]
    assert {type(event["Timestamp"]) for event in got} == {int}
    assert all(before <= event["ReceivedTimestamp"] <= time.time_ns() // 1000 for event in got)


@pytest.mark.row("1.3", "Ioa is there only when a rule marked the event")
def test_marked_and_unmarked_events(kata, script):
    rules = [{"Id": "1", "Name": "T1059 shell", "Techniques": ["T1059"], "Tactics": ["TA0002"]}]
    mark = kata.put_marked(1)
    host = mark.split("'")[1]
    ioa = {"Rules": rules, "Severity": "high", "Confidence": "low"}
    kata.put({"Id": "m", "HostName": host, "Ioa": ioa})
    plain, marked = script.get(filter=mark).json["events"]
    assert "Ioa" not in plain
    assert marked["Ioa"]["Rules"][0]["Name"] == "T1059 shell"
    for text in ("Ioa.Rules.Name == 'T1059*'", "Ioa.Severity == 'high'", "Ioa.Rules.Id == '1'"):
        assert script.get(filter=f"{mark} AND {text}").ids == ["m"]


@pytest.mark.row("1.3", "an event's fields are those of filters, nested by the dot")
def test_each_field_of_an_event_can_be_asked_for(kata, script):
    event = EventBuilder(5).event("process")
    mark = kata.put_marked(1)
    host = mark.split("'")[1]
    kata.put({**event, "Id": "e", "HostName": host})
    texts = {name: value for name, value in event.items() if isinstance(value, str) and value}
    assert len(texts) > 10
    for name in sorted(set(texts) - {"Id", "HostName", "AgentId"}):
        value = texts[name].replace("\\", "\\\\").replace("'", "\\'")
        if "*" not in value:
            assert "e" in script.get(filter=f"{mark} AND {name} == '{value}'").ids, name


@pytest.mark.row("1.3", "EventType has the documented values")
def test_every_documented_type_goes_through_and_can_be_filtered(kata, script):
    for name in sorted(TYPES):
        kata.put({"EventType": name, "Id": name, "HostName": "types"})
    assert set(script.get(filter="HostName == 'types'").ids) == TYPES
    for name in TYPES:
        found = script.get(filter=f"HostName == 'types' AND EventType == '{name}'")
        assert found.ids == [name]
        assert found.json["events"][0]["EventType"] == name


@pytest.mark.row("1.3", "an event is below 4 MB, the most that KUMA takes")
def test_an_event_that_is_too_large_does_not_get_to_clients(kata, script):
    mark = kata.put_marked(1)
    host = mark.split("'")[1]
    told = kata.put(
        {"Id": "huge", "HostName": host, "FileName": "x" * (4 << 20)},
        {"Id": "large", "HostName": host, "FileName": "x" * (3 << 20)},
    )
    assert (told["events"], told["dead"]) == (1, 1)
    answer = script.get(filter=mark)
    assert answer.ids == ["0", "large"]
    assert all(len(json.dumps(event)) < 4 << 20 for event in answer.json["events"])
