from __future__ import annotations

import socket
import time

import pytest
from tests.conformance.conftest import started

from deodar.edr.settings import EdrSettings


@pytest.fixture(scope="module")
def script(kata):
    return kata.accepted()


@pytest.mark.row("1.1", "the method is GET only")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(script, method):
    answer = script.send(f"/kata/events_api/v1/{script.id}/events", method)
    assert answer.status == 405
    assert answer.json == {"error": "Method Not Allowed"}


@pytest.mark.row("1.1", "the URL is /kata/events_api/v1/ID/events")
def test_the_url_and_no_other_has_events(script):
    base = f"/kata/events_api/v1/{script.id}"
    assert script.send(f"{base}/events?max_timeout=PT0S").status == 200
    for other in (f"{base}/event", f"{base}/events/", base, "/kata/events_api/v2/x/events", "/"):
        assert script.send(other).status == 404


@pytest.mark.row("1.1", "the port is 443")
def test_the_port_is_the_one_of_the_settings(tmp_path):
    assert EdrSettings().port == 9443
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with started(tmp_path, EdrSettings(host="127.0.0.1", port=port, names=("127.0.0.1",))) as kata:
        assert kata.url == f"https://127.0.0.1:{port}"
        assert kata.script().get().status == 401


@pytest.mark.row("1.1", "the client certificate authorises each call, no header does")
def test_without_the_certificate_no_header_helps(kata, script):
    bare = kata.script(script.id, ip=script.ip)
    bare.pem = None
    target = f"/kata/events_api/v1/{script.id}/events"
    for headers in ({}, {"Authorization": "Bearer x"}, {"X-Client-Cert": "x"}, {"Cookie": "a=b"}):
        answer = bare.send(target, headers=headers)
        assert (answer.status, answer.json) == (401, {"error": "Unauthorized"})
    assert script.get().status == 200


@pytest.mark.row("1.1", "filter is optional and URL-encoded")
def test_a_filter_of_odd_characters_arrives(kata, script):
    name = "a b&c=d+e%20ü\"'"
    mark = kata.put_marked(2, FileName="x")
    kata.put({"Id": "odd", "HostName": mark.split("'")[1], "FileName": name})
    quoted = name.replace("'", "\\'")
    assert script.get(filter=f"{mark} AND FileName == '{quoted}'").ids == ["odd"]
    assert script.get(filter=mark).ids == ["0", "1", "odd"]
    assert len(script.get(max_events=3).ids) == 3


@pytest.mark.row("1.1", "max_timeout is the longest time to collect events")
def test_a_request_ends_with_its_time(script):
    began = time.monotonic()
    answer = script.get(filter="HostName == 'nobody'", max_timeout="PT1S")
    assert answer.ids == []
    assert 1 <= time.monotonic() - began < 6


@pytest.mark.row("1.1", "max_timeout is an ISO 8601 duration: PT30S, PT60S")
@pytest.mark.parametrize("text", ["PT30S", "PT60S"])
def test_what_pollers_send_is_taken(kata, script, text):
    assert script.get(filter=kata.put_marked(1), max_events=1, max_timeout=text).ids == ["0"]


@pytest.mark.row("1.1", "max_timeout in every other form of ISO 8601, bad ones are refused")
def test_other_durations(kata, script):
    mark = kata.put_marked(1)
    for good in ("PT1M30S", "PT300S", "PT0S", "PT0.5S", "PT0,5S", "P0D", "PT0H"):
        assert script.get(filter=mark, max_events=1, max_timeout=good).ids == ["0"], good
    for bad in ("30", "PT", "P", "PT30", "pt30s", "PT-1S", "1h", "PT1S1M", "PT1e9S"):
        answer = script.get(max_timeout=bad)
        assert answer.status == 400, bad
        assert answer.json["error"].startswith("Bad Request: max_timeout")


@pytest.mark.row("1.1", "max_events is the most events in an answer")
def test_an_answer_has_no_more_than_was_asked_for(kata, script):
    mark = kata.put_marked(10)
    assert script.get(filter=mark, max_events=4).ids == ["0", "1", "2", "3"]


@pytest.mark.row("1.1", "continuation_token goes on behind the answer before")
def test_a_token_goes_on(kata, script):
    first = script.get(filter=kata.put_marked(5), max_events=3)
    assert script.get(continuation_token=first.token).ids == ["3", "4"]


@pytest.mark.row("1.1", "max_events above the server's value is refused")
def test_too_many_events_are_refused_with_the_known_text(script):
    answer = script.get(max_events=10_001)
    assert answer.status == 400
    assert answer.json == {
        "error": "Bad Request: max_events 10001 is greater than the allowed value"
    }
    assert script.get(max_events=10_000, filter="HostName == 'nobody'").status == 200


@pytest.mark.row("1.1", "max_timeout above the server's value is refused")
def test_too_long_a_time_is_refused(script):
    answer = script.get(max_timeout="PT301S")
    assert answer.status == 400
    assert answer.json["error"] == (
        "Bad Request: max_timeout PT301S is greater than the allowed value"
    )


@pytest.mark.row("1.1", "what is not given is the server's value")
def test_a_client_that_sends_nothing_gets_the_servers_values(kata, script):
    mark = kata.put_marked(3)
    begun = script.get(filter=mark)
    kata.settings.set("events_api.fetch_timeout", 1)
    kata.settings.set("events_api.max_events", 2)
    try:
        wait_for(lambda: script.get(max_events=3).status == 400)
        target = f"/kata/events_api/v1/{script.id}/events"
        began = time.monotonic()
        waited = script.send(f"{target}?continuation_token={begun.token}")
        assert waited.ids == []
        assert 1 <= time.monotonic() - began < 4
        assert len(script.send(target).ids) == 2
    finally:
        kata.settings.reset("events_api.fetch_timeout")
        kata.settings.reset("events_api.max_events")
    wait_for(lambda: script.get(max_events=3).status == 200)


@pytest.mark.row("1.1", "0 events and empty values are the server's values")
def test_zero_and_empty_stand_for_the_servers_values(kata, script):
    mark = kata.put_marked(3)
    assert script.get(filter=mark, max_events=0, continuation_token="").ids == ["0", "1", "2"]
    answer = script.get(filter=mark, max_events="", max_timeout="PT0S")
    assert answer.ids == ["0", "1", "2"]


@pytest.mark.row("1.1", "events&continuation_token=… without a question mark is understood")
def test_the_ampersand_of_the_help_is_understood(kata, script):
    first = script.get(filter=kata.put_marked(3), max_events=1)
    base = f"/kata/events_api/v1/{script.id}/events"
    plain = script.send(f"{base}&continuation_token={first.token}&max_timeout=PT0S")
    assert plain.ids == ["1", "2"]
    mixed = script.send(f"{base}&continuation_token={first.token}?max_timeout=PT0S")
    assert mixed.ids == ["1", "2"]


@pytest.mark.row("1.1", "events=?filter=… is understood")
def test_the_equals_sign_of_the_help_is_understood(kata, script):
    mark = kata.put_marked(2)
    assert script.get("=?", filter=mark, max_events=1).ids == ["0"]


@pytest.mark.row("1.1", "misspellings are never produced")
def test_answers_hold_none_of_the_misspellings(kata, script):
    answers = [
        script.get(filter=kata.put_marked(2), max_events=1),
        script.get(continuation_token="x"),
        script.get("=?", max_events="x"),
        kata.script().get(),
    ]
    for answer in answers:
        told = answer.body + str(answer.headers).encode()
        for wrong in (b"izolation", b"shedule", b"events&", b"events=", b"continuation_token"):
            assert wrong not in told


@pytest.mark.row("1.1", "unknown parameters are passed over")
def test_unknown_and_repeated_parameters(kata, script):
    mark = kata.put_marked(3)
    assert script.get(filter=mark, colour="red", limit=1).ids == ["0", "1", "2"]
    assert script.get("?max_events=1&colour&", filter=mark, max_events=2).ids == ["0", "1"]


@pytest.mark.row("1.1", "an id need not be a UUID")
def test_ids_of_all_kinds(kata):
    for good in ("KUMA", "siem_1.example.org:7221", "0", "a" * 128):
        assert kata.accepted(good).get().status == 200
    for bad in ("a" * 129, "-a", "%00", "a%20b", "%D1%8F", "..", "a%2Fb"):
        asking = kata.script(bad)
        assert asking.get().status in (400, 404), bad
        assert [row for row in kata.register.list() if row.ip == asking.ip] == []


def wait_for(holds, limit: float = 20) -> None:
    end = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)
