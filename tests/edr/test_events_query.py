from __future__ import annotations

from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr.errors import BadRequest
from deodar.edr.events_query import parameters, parse
from deodar.edr.settings import EventsApi

API = EventsApi(max_events=100, fetch_timeout=3, max_fetch_timeout=60, max_filter_length=20)


@pytest.mark.parametrize(
    ("tail", "query", "expected"),
    [
        (b"events", b"", {}),
        (
            b"events",
            b"filter=a+%3D%3D+%27%C3%A9%27",
            {"filter": "a == 'é'"},
        ),
        (b"events&continuation_token=x", b"", {"continuation_token": "x"}),
        (b"events=", b"filter=f", {"filter": "f"}),
        (b"events&a=1", b"b=2", {"a": "1", "b": "2"}),
        (b"events", b"filter=", {"filter": ""}),
    ],
)
def test_parameters_are_found_where_clients_put_them(tail, query, expected):
    assert parameters(tail, query) == expected


@pytest.mark.parametrize("tail", [b"", b"event", b"events/", b"eventsx", b"x/events", b"EVENTS"])
def test_another_path_is_none(tail):
    assert parameters(tail, b"") is None


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(BadRequest, match="UTF-8"):
        parameters(b"events", b"filter=%ff")


@given(st.text(max_size=30))
def test_any_text_comes_through(text):
    found = parameters(b"events", f"filter={quote_plus(text)}".encode())
    assert found == {"filter": text}


def test_what_is_not_given_is_the_servers():
    query = parse({}, API)
    assert (query.max_events, query.timeout, query.filter, query.token) == (100, 3, "", "")
    assert parse({"max_events": "0"}, API).max_events == 100


def test_given_values_count():
    given_ = {"max_events": "7", "max_timeout": "PT1M"}
    given_ |= {"filter": " a == 1 ", "continuation_token": "t\n"}
    query = parse(given_, API)
    assert (query.max_events, query.timeout, query.filter, query.token) == (7, 60, "a == 1", "t")


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"max_events": "101"}, "max_events 101 is greater than the allowed value"),
        ({"max_events": "1.5"}, "not a number"),
        ({"max_events": "٣"}, "not a number"),
        ({"max_events": "9" * 50}, "not a number"),
        ({"max_timeout": "PT61S"}, "greater than the allowed value"),
        ({"max_timeout": "soon"}, "column 1"),
        ({"filter": "x" * 21}, "longer than 20"),
    ],
)
def test_wrong_values_are_told(given_, words):
    with pytest.raises(BadRequest, match=words):
        parse(given_, API)
