from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.uplink import Answer, Delivered, Retry, SetAside, State, Uplink


def uplink() -> Uplink:
    return Uplink(random.Random(1))


def receipt(number: int, **more: object) -> Answer:
    return Answer(200, json.dumps({"packet": number, "events": 1, "dead": 0, **more}).encode())


def test_receipt_means_delivered() -> None:
    machine = uplink()
    assert machine.answered(5, receipt(5, dead=2)) == Delivered(5, 2, False)
    assert machine.state is State.CONNECTED
    assert machine.problem == ""


def test_duplicate_counts_as_delivered() -> None:
    assert uplink().answered(5, receipt(5, duplicate=True)) == Delivered(5, 0, True)


def test_waits_grow_to_a_limit_and_differ_between_agents() -> None:
    machine = uplink()
    waits = [machine.failed("refused").seconds for _ in range(30)]
    assert waits[0] <= 0.5
    assert all(wait <= 60 for wait in waits)
    assert min(waits[10:]) >= 30
    assert len(set(waits)) == 30


def test_success_starts_the_waits_anew() -> None:
    machine = uplink()
    for _ in range(10):
        machine.failed("refused")
    machine.answered(1, receipt(1))
    assert machine.failed("refused").seconds <= 0.5


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_busy_server_is_asked_again_forever(status: int) -> None:
    machine = uplink()
    for _ in range(50):
        assert isinstance(machine.answered(1, Answer(status)), Retry)
    assert machine.state is State.RETRYING
    assert str(status) in machine.problem


@pytest.mark.parametrize(("asked", "least", "most"), [(7, 7, 8.5), (0, 0.1, 0.2), (9e9, 300, 360)])
def test_server_says_how_long_to_wait(asked: float, least: float, most: float) -> None:
    verdict = uplink().answered(1, Answer(503, b"", asked))
    assert isinstance(verdict, Retry)
    assert least <= verdict.seconds <= most


@pytest.mark.parametrize("status", [401, 403])
def test_refused_agent_keeps_asking_slowly_and_says_what_to_do(status: int) -> None:
    machine = uplink()
    verdict = machine.answered(1, Answer(status, b'{"error": "revoked"}'))
    assert isinstance(verdict, Retry)
    assert verdict.seconds >= 60
    assert machine.state is State.REFUSED
    assert "revoked" in machine.problem
    assert "deodar agent enroll" in machine.problem


def test_packet_that_is_too_large_goes_aside_at_once() -> None:
    machine = uplink()
    verdict = machine.answered(4, Answer(413))
    assert isinstance(verdict, SetAside)
    assert verdict.number == 4
    assert "413" in verdict.reason


@pytest.mark.parametrize("status", [400, 415, 422])
def test_packet_that_is_called_wrong_goes_aside_after_three_times(status: int) -> None:
    machine = uplink()
    verdicts = [machine.answered(4, Answer(status, b'{"error": "bad header"}')) for _ in range(3)]
    assert [type(verdict) for verdict in verdicts] == [Retry, Retry, SetAside]
    assert isinstance(verdicts[2], SetAside)
    assert "bad header" in verdicts[2].reason
    assert isinstance(machine.answered(5, Answer(status)), Retry)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>login</html>", b"[]", b'{"packet": "5"}', b'{"events": 5}', b"\xff", b"null"],
)
def test_nonsense_is_no_receipt(body: bytes) -> None:
    machine = uplink()
    assert isinstance(machine.answered(5, Answer(200, body)), Retry)
    assert machine.state is State.RETRYING


def test_receipt_for_another_packet_is_no_receipt() -> None:
    machine = uplink()
    assert isinstance(machine.answered(5, receipt(4)), Retry)
    assert "packet 4 in place of 5" in machine.problem


@given(st.integers(100, 599), st.binary(max_size=30), st.none() | st.floats(0, 1e9))
def test_no_answer_loses_a_packet_without_a_receipt(
    status: int, body: bytes, retry_after: float | None
) -> None:
    verdict = uplink().answered(1, Answer(status, body, retry_after))
    assert isinstance(verdict, Retry) or (isinstance(verdict, SetAside) and status == 413)
    if isinstance(verdict, Retry):
        assert 0 < verdict.seconds <= 360


@pytest.mark.parametrize(
    ("status", "state"),
    [(200, State.CONNECTED), (403, State.REFUSED), (500, State.RETRYING)],
)
def test_greeting_shows_how_the_server_is(status: int, state: State) -> None:
    machine = uplink()
    machine.greeted(Answer(status))
    assert machine.state is state
