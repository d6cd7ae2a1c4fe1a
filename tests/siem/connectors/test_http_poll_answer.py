from __future__ import annotations

import pytest

from deodar.siem.connectors.http_poll_answer import (
    Unreadable,
    digest,
    json_answer,
    lookup,
    next_link,
)

BODY = b'{"data":{"items":[{"id":1},{"id":7}]},"paging":{"next":"c2","more":true}}'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("paging.next", "c2"),
        ("data.items.1.id", 7),
        ("data.items.2.id", None),
        ("paging.next.x", None),
        ("absent", None),
    ],
)
def test_a_path_leads_by_names_and_numbers(path, value):
    import json

    assert lookup(json.loads(BODY), path) == value


def test_an_empty_path_is_the_value_itself():
    assert lookup([1], "") == [1]


def test_events_cursor_and_whether_there_is_more_are_found():
    answer = json_answer(BODY, "data.items", "json", "paging.next", "paging.more")
    assert answer.events == [b'{"id":1}', b'{"id":7}']
    assert (answer.cursor, answer.more) == ("c2", True)
    assert json_answer(BODY, "data.items", "event", "id", "").cursor == "7"
    assert json_answer(b"[]", "", "event", "id", "").cursor == ""
    assert json_answer(b'{"x":null}', "x", "none", "", "").events == []


@pytest.mark.parametrize("body", [b"<html>", b"\xff", b'{"data":5}', b"[" * 100_000])
def test_what_is_not_as_the_settings_say_is_told(body):
    with pytest.raises(Unreadable):
        json_answer(body, "data", "none", "", "")


@pytest.mark.parametrize(
    ("header", "url"),
    [
        ('<https://h/x?page=2>; rel="next"', "https://h/x?page=2"),
        ('<https://h/1>; rel="prev", </x?page=3>; rel=next', "https://h/x?page=3"),
        ('<https://h/1>; rel="prev last"', ""),
        ('<https://h/1>; title="next"', ""),
        ("", ""),
    ],
)
def test_the_next_link_is_found(header, url):
    assert next_link(header, "https://h/x") == url


def test_a_link_to_another_server_is_not_followed():
    for url in ("https://evil/x", "http://h/x", "https://h:8443/x"):
        with pytest.raises(Unreadable, match="another server"):
            next_link(f"<{url}>; rel=next", "https://h/x")
    assert next_link("<https://h:443/x>; rel=next", "https://h/x")


def test_equal_bodies_have_equal_digests():
    assert digest(b"a") == digest(b"a") != digest(b"b")
