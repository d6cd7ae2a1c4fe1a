from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.connectors.kata_edr_problems import recognise, unreachable

CONFLICT = (
    "Conflict: An external system with the following ip and certificate digest already exists. "
    "Either delete it or provide a new certificate"
)


@pytest.mark.parametrize(
    ("status", "text", "kind", "remedy"),
    [
        (400, "Bad Request: max_events 9 is greater than the allowed value", "max_events", "lower"),
        (409, CONFLICT, "conflict", "new certificate"),
        (400, CONFLICT, "conflict", "new certificate"),
        (400, "Continuation token not found", "token_lost", "reset-token"),
        (404, "Continuation token not found", "token_lost", "reset-token"),
        (410, "Continuation token not found", "token_lost", "reset-token"),
        (401, "Unauthorized", "unauthorized", "accept"),
        (302, "", "redirect", "connector.urls"),
        (404, "Not Found", "not_found", "connector.urls"),
        (400, "bad filter", "bad_request", "filter"),
        (503, "", "busy", ""),
        (500, "boom", "server_error", ""),
    ],
)
def test_known_errors_are_recognised_with_what_to_do(status, text, kind, remedy):
    problem = recognise(status, text)
    assert problem.kind == kind
    assert remedy in problem.remedy
    assert problem.standing == (kind not in ("busy", "server_error"))


def test_the_servers_own_words_are_shown():
    assert "max_events 9" in recognise(400, "max_events 9 is greater than the allowed value").reason


@given(st.integers(100, 999).filter(lambda status: status != 200), st.text())
def test_every_answer_means_something_of_bounded_length(status, text):
    assert 0 < len(recognise(status, text).reason) < 500


def test_timeouts_and_too_large_answers_ask_for_smaller_ones():
    assert unreachable("timeout", "x").shrink
    assert unreachable("size", "x").shrink
    assert not unreachable("network", "x").shrink
