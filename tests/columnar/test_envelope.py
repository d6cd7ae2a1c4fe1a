from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.columnar.envelope import salvage, split
from deodar.columnar.errors import EnvelopeError


def texts(body: bytes) -> list[bytes]:
    return [bytes(raw) for raw in split(body).events]


def test_events_and_token() -> None:
    body = b'{"events": [{"a":1}, {"b":"]}"} ], "continuationToken": "t\\u0041"}'
    assert texts(body) == [b'{"a":1}', b'{"b":"]}"}']
    assert split(body).token == "tA"


@pytest.mark.parametrize(
    "body", [b'{"continuationToken":"t"}', b'{"events":null,"continuationToken":"t"}', b'{"new":1}']
)
def test_no_events(body: bytes) -> None:
    assert texts(body) == []


def test_broken_text_in_one_event_does_not_break_the_others() -> None:
    assert texts(b'{"events":[{"a":"\xff"},{"c":1}]}') == [b'{"a":"\xff"}', b'{"c":1}']


def test_half_a_surrogate_pair_breaks_the_envelope_but_salvage_takes_it_apart() -> None:
    body = b'{"events":[{"EventType":"\\ud800"},{"EventType":"b"}]}'
    with pytest.raises(EnvelopeError):
        split(body)
    assert salvage(body) == ([b'{"EventType":"\\ud800"}', b'{"EventType":"b"}'], [])


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "the body"),
        (b"[]", "the body"),
        (b'{"events":[{},{]}', "byte 15"),
        (b'{"events":5}', "events"),
        (b'{"events":[],"continuationToken":7}', "continuationToken"),
        (b"<html>", "byte 0"),
        (b"\xff\xfe", "byte 0"),
        (b'{"events":' + b"[" * 100_000, "the body"),
    ],
)
def test_what_is_no_envelope_says_where(body: bytes, where: str) -> None:
    with pytest.raises(EnvelopeError) as error:
        split(body)
    assert error.value.where == where
    assert error.value.reason


def test_salvage_of_a_truncated_body() -> None:
    events, dead = salvage(b'{"continuationToken":"t","events":[{"EventType":"a"},{"EventTy')
    assert events == [b'{"EventType":"a"}']
    assert [letter.raw for letter in dead] == [b'{"EventTy']


def test_salvage_goes_on_at_the_next_event_not_inside_one() -> None:
    body = b'{"events":[{"EventType":"a},{"q":1},{"x":2}},{"EventType":"c"}],"token":"t"}'
    events, dead = salvage(body)
    assert events == [b'{"EventType":"c"}']
    assert [letter.raw for letter in dead] == [b'{"EventType":"a},{"q":1},{"x":2}}']
    assert dead[0].index == 0


def test_salvage_keeps_bytes_that_are_no_text() -> None:
    events, dead = salvage(b'{"events":[{"EventType":"\xff\xfe"},{x},{"EventType":"b"}]}')
    assert events == [b'{"EventType":"\xff\xfe"}', b'{"EventType":"b"}']
    assert [letter.raw for letter in dead] == [b"{x}"]


def test_a_body_without_a_list_of_events_is_one_letter() -> None:
    events, dead = salvage(b"<html>502</html>")
    assert events == []
    assert [letter.raw for letter in dead] == [b"<html>502</html>"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.integers(0, 400))
def test_salvage_of_a_cut_body_gives_the_events_before_the_cut(words: list[str], cut: int) -> None:
    whole = [json.dumps({"EventType": word}).encode() for word in words]
    body = (b'{"events":[' + b",".join(whole) + b"]}")[:cut]
    events, dead = salvage(body)
    assert events == whole[: len(events)]
    assert len(dead) <= 1
