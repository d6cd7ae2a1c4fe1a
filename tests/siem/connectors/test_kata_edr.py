from __future__ import annotations

import json
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.siem.connectors.kata_edr import (
    LONGEST_WAIT,
    SHORTEST_WAIT,
    Answer,
    Deliver,
    KataEdr,
    KeepAside,
    Request,
    Wait,
)
from deodar.siem.connectors.kata_edr_answer import summarize
from deodar.siem.connectors.kata_edr_settings import KataEdrSettings

EXTERNAL_ID = "7f8a1c1e-5f0d-4d58-9d5a-9f6a2b3c4d5e"
ONE = KataEdrSettings(urls=["edr-1:9443"], external_id=EXTERNAL_ID)
TWO = msgspec.structs.replace(ONE, urls=["edr-1:9443", "edr-2:9443"])


def answer(status=200, body=b"", **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, names, summarize(status, body))


def page(token, events=1):
    body = json.dumps({"events": [{"n": token}] * events, "continuationToken": token})
    return answer(200, body.encode())


def refusal(status, text):
    return answer(status, json.dumps({"error": text}).encode())


def machine(given=ONE):
    return KataEdr(given, Random(7))


def query(command):
    assert isinstance(command, Request)
    return dict(command.params)


def test_the_first_request_has_no_token_and_server_defaults_are_left_out():
    (request,) = machine().start(None, 0.0)
    assert (
        request.url == "https://edr-1:9443/kata/events_api/v1/"
        "7f8a1c1e-5f0d-4d58-9d5a-9f6a2b3c4d5e/events"
    )
    assert request.params == ()
    assert request.timeout == 1800.0


def test_settings_go_into_the_query():
    given = msgspec.structs.replace(
        ONE, max_events=500, max_timeout=2.5, client_timeout=10.0, filter="EventType == 'process'"
    )
    (request,) = machine(given).start("t0", 0.0)
    assert dict(request.params) == {
        "filter": "EventType == 'process'",
        "max_timeout": "PT2.5S",
        "max_events": "500",
        "continuation_token": "t0",
    }
    assert request.timeout == 10.0


def test_an_answer_is_delivered_before_the_next_request_carries_its_token():
    connector = machine()
    connector.start("t0", 0.0)
    deliver, request = connector.answered(page("t1"), 1.0)
    assert deliver == Deliver("https://edr-1:9443", "t0", "t1", has_events=True)
    assert query(request)["continuation_token"] == "t1"


def test_status_is_yellow_until_the_first_answer_then_green():
    connector = machine()
    connector.start(None, 0.0)
    assert connector.status.colour == "yellow"
    assert "first answer" in connector.status.reason
    connector.answered(refusal(401, "Unauthorized"), 1.0)
    assert connector.status.colour == "yellow"
    assert "authorization" in connector.status.reason
    connector.elapsed(100.0)
    connector.answered(page("t1"), 101.0)
    assert connector.status.colour == "green"


def test_access_lost_later_is_yellow_and_keeps_the_token():
    connector = machine()
    connector.start(None, 0.0)
    connector.answered(page("t1"), 1.0)
    connector.answered(refusal(401, "Unauthorized"), 2.0)
    assert connector.status.colour == "yellow"
    (request,) = connector.elapsed(100.0)
    assert query(request)["continuation_token"] == "t1"


def test_a_pending_authorization_is_asked_about_often():
    connector = machine()
    connector.start(None, 0.0)
    now = 0.0
    for _ in range(20):
        (wait,) = connector.answered(refusal(401, "Unauthorized"), now)
        assert wait.seconds <= 5.0
        now += wait.seconds
        connector.elapsed(now)


def test_one_network_error_stays_green_and_repeated_ones_do_not():
    connector = machine()
    connector.start(None, 0.0)
    connector.answered(page("t1"), 1.0)
    now = 2.0
    connector.failed("network", "connection reset", now)
    assert connector.status.colour == "green"
    for _ in range(2):
        now += 100.0
        connector.elapsed(now)
        connector.failed("network", "connection reset", now)
    assert connector.status.colour == "yellow"
    assert connector.status.reason.startswith("Connector log errors increasing")


def test_a_lost_token_stays_yellow_and_history_is_not_fetched_by_itself():
    connector = machine()
    connector.start("old", 0.0)
    now = 1.0
    for _ in range(5):
        (wait,) = connector.answered(refusal(400, "Continuation token not found"), now)
        now += wait.seconds
        (request,) = connector.elapsed(now)
        assert query(request)["continuation_token"] == "old"
    assert connector.status.colour == "yellow"
    assert "reset-token" in connector.status.remedy


def test_the_servers_of_a_cluster_are_tried_one_after_another():
    connector = machine(TWO)
    (first,) = connector.start("t0", 0.0)
    (second,) = connector.failed("network", "refused", 0.1)
    assert (first.url[:14], second.url[:14]) == ("https://edr-1:", "https://edr-2:")
    assert query(second)["continuation_token"] == "t0"
    (wait,) = connector.failed("network", "refused", 0.2)
    assert isinstance(wait, Wait)
    (again,) = connector.elapsed(0.3 + wait.seconds)
    assert again.url.startswith("https://edr-1:")


def test_a_server_that_answers_is_kept():
    connector = machine(TWO)
    connector.start(None, 0.0)
    connector.failed("network", "refused", 0.1)
    _, request = connector.answered(page("t1"), 0.2)
    assert request.url.startswith("https://edr-2:")


def test_retry_after_is_honoured_and_bounded():
    connector = machine()
    connector.start(None, 0.0)
    (wait,) = connector.answered(answer(503, b"", retry_after="40"), 0.0)
    assert wait.seconds == 40.0
    (wait,) = connector.answered(answer(503, b"", retry_after="99999999"), 0.0)
    assert wait.seconds == LONGEST_WAIT


def test_timeouts_ask_for_fewer_events_and_success_for_more_again():
    connector = machine()
    connector.start(None, 0.0)
    connector.failed("timeout", "30 minutes", 0.0)
    (request,) = connector.elapsed(1000.0)
    assert query(request)["max_events"] == "5000"
    for number in range(10):
        _, request = connector.answered(page(f"t{number}"), 2000.0)
    assert "max_events" not in query(request)


def test_a_server_that_allows_less_than_we_shrink_to_is_not_asked_for_more_again():
    connector = machine()
    now, asked = 0.0, []
    connector.start(None, now)
    connector.failed("timeout", "late", now)
    for number in range(40):
        now += 100.0
        (request,) = connector.elapsed(now)
        wanted = int(query(request).get("max_events", 0))
        asked.append(wanted)
        too_many = "Bad Request: max_events is greater than the allowed value"
        connector.answered(refusal(400, too_many) if wanted > 1000 else page(f"t{number}"), now)
    assert asked[:5] == [5000, 2500, 1250, 625, 625]
    assert set(asked[14:]) == {0}


def test_shrinking_ends_and_never_passes_the_setting():
    connector = machine(msgspec.structs.replace(ONE, max_events=300))
    now, sizes = 0.0, []
    connector.start(None, now)
    for _ in range(12):
        now += 10_000.0
        connector.failed("timeout", "late", now - 5_000.0)
        (request,) = connector.elapsed(now)
        sizes.append(int(query(request)["max_events"]))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 150
    assert sizes[-1] == 10


@pytest.mark.parametrize("body", [b"<html>", b'{"events":[{"a":1}]}', b'{"continuationToken":"x'])
def test_a_misshapen_answer_is_kept_aside_once_and_asked_for_again(body):
    connector = machine()
    connector.start("t0", 0.0)
    aside, wait = connector.answered(answer(200, body), 1.0)
    assert isinstance(aside, KeepAside)
    (request,) = connector.elapsed(1.0 + wait.seconds)
    assert query(request)["continuation_token"] == "t0"
    assert not any(
        isinstance(command, KeepAside) for command in connector.answered(answer(200, body), 9.0)
    )


def test_a_token_that_stands_still_with_events_is_not_delivered_again():
    connector = machine()
    connector.start(None, 0.0)
    connector.answered(page("t1"), 1.0)
    aside, wait = connector.answered(page("t1"), 2.0)
    assert isinstance(aside, KeepAside)
    assert isinstance(wait, Wait)
    assert connector.status.colour == "yellow"


def test_a_token_that_leads_back_is_not_followed():
    connector = machine()
    connector.start("t0", 0.0)
    connector.answered(page("t1"), 1.0)
    connector.answered(page("t2"), 2.0)
    commands = connector.answered(page("t1"), 3.0)
    assert not any(isinstance(command, Deliver) for command in commands)
    assert connector.token == "t2"


def test_empty_answers_that_come_at_once_are_not_asked_for_in_a_spin():
    connector = machine()
    connector.start("t0", 0.0)
    (wait,) = connector.answered(page("t0", events=0), 0.01)
    assert 0.2 < wait.seconds <= 0.25
    (request,) = connector.elapsed(1.0)
    assert isinstance(request, Request)
    (request,) = connector.answered(page("t0", events=0), 6.0)
    assert isinstance(request, Request)


def test_an_empty_answer_with_a_new_token_is_delivered():
    connector = machine()
    connector.start("t0", 0.0)
    deliver, _ = connector.answered(page("t1", events=0), 5.0)
    assert deliver == Deliver("https://edr-1:9443", "t0", "t1", has_events=False)


def test_starting_anew_forgets_token_and_waits():
    connector = machine()
    connector.start("t0", 0.0)
    connector.answered(refusal(400, "Continuation token not found"), 1.0)
    (request,) = connector.start(None, 1.1)
    assert "continuation_token" not in query(request)


bodies = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda token, events: json.dumps({"events": events, "continuationToken": token}).encode(),
        st.sampled_from(["a", "b", "c", "d", "", None, 7]) | st.text(max_size=5),
        st.sampled_from([[], [{}], None, {}, 3]),
    ),
)
answers = st.builds(
    lambda status, body, after: answer(status, body, retry_after=after),
    st.sampled_from([200, 200, 200, 302, 400, 401, 404, 409, 500, 503]),
    bodies,
    st.sampled_from(["", "3", "-1", "x", "1e9", "9" * 30]),
)
failures = st.sampled_from(["network", "timeout", "tls", "size"])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(answers | failures, st.floats(0, 100)), max_size=40),
    st.sampled_from([ONE, TWO, msgspec.structs.replace(TWO, max_events=3, max_timeout=0.1)]),
    st.integers(),
)
def test_whatever_happens_waits_are_bounded_and_the_token_only_moves_by_delivery(
    happenings, given_settings, seed
):
    connector = KataEdr(given_settings, Random(seed))
    now = 0.0
    commands = connector.start("start", now)
    token, delivered = "start", ["start"]
    for happening, passed in happenings:
        while isinstance(commands[-1], Wait):
            assert SHORTEST_WAIT <= commands[-1].seconds <= LONGEST_WAIT
            now += commands[-1].seconds
            commands = connector.elapsed(now)
        assert query(commands[-1])["continuation_token"] == token
        now += passed
        if isinstance(happening, str):
            commands = connector.failed(happening, "it did", now)
        else:
            commands = connector.answered(happening, now)
        for command in commands:
            if isinstance(command, Deliver):
                assert command.token_before == token
                token = command.token_after
                assert token not in delivered[-16:]
                delivered.append(token)
        assert connector.token == token
        assert connector.status.colour in ("yellow", "green")
