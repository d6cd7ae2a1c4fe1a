from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.connectors.kata_edr_answer import LONGEST_TOKEN, summarize


def test_an_answer_has_its_token_and_says_whether_it_has_events():
    found = summarize(200, b'{"events": [{"a": 1}], "continuationToken": "t1"}')
    assert (found.token, found.has_events, found.problem) == ("t1", True, "")


@pytest.mark.parametrize("events", [b'"events":[],', b'"events":null,', b'"events":[ ],', b""])
def test_an_answer_without_events_still_has_its_token(events):
    found = summarize(200, b"{" + events + b'"continuationToken":"t1"}')
    assert (found.token, found.has_events, found.problem) == ("t1", False, "")


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":[]}',
        b'{"events":[],"continuationToken":""}',
        b'{"events":[],"continuationToken":null}',
        b'{"events":[],"continuationToken":5}',
        b'{"events":{},"continuationToken":"t"}',
        b"[]",
        b"",
        b"<html>",
        b'{"events":[{"a":1}',
        b"\xff\xfe",
        b'{"events":[],"continuationToken":"' + b"x" * (LONGEST_TOKEN + 1) + b'"}',
    ],
)
def test_a_body_that_is_no_events_answer_has_a_problem(body):
    assert summarize(200, body).problem


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":[{"a":1},{"b":oops}],"continuationToken":"t1"}',
        b'{"continuationToken" : "t1", "events":[{"a":1},{"b":oops}]}',
    ],
)
def test_the_token_of_an_answer_with_a_broken_event_is_found(body):
    found = summarize(200, body)
    assert (found.token, found.has_events, found.problem) == ("t1", True, "")


def test_a_token_inside_a_broken_answers_event_is_not_taken():
    assert summarize(200, b'{"events":[{"a":{"continuationToken":"t9"}},oops').token is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "Unauthorized"}', "Unauthorized"),
        (b'{"message": "no"}', "no"),
        (b"Bad Request: max_events 5", "Bad Request: max_events 5"),
        (b"[1]", "[1]"),
        (b"", ""),
    ],
)
def test_the_text_of_an_error_is_found(body, text):
    assert summarize(400, body).error == text


@given(st.integers(200, 599), st.binary() | st.recursive(st.text(), st.lists).map(json.dumps))
def test_any_body_is_summed_up(status, body):
    raw = body.encode() if isinstance(body, str) else body
    found = summarize(status, raw)
    assert found.problem or found.token or status != 200
