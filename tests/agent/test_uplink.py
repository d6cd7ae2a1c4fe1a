from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.answers import Answer, Fault, Trouble
from deodar.agent.uplink import (
    Activity,
    Delivered,
    Partial,
    Retry,
    SetAside,
    Split,
    State,
    Uplink,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SYNC = Activity.SYNCHRONIZATION
GONE = Fault(Trouble.UNREACHABLE, "refused")
WRONG = Fault(Trouble.WRONG_ANSWER, "HTTP 500")


def uplink(names: Sequence[str] = ("a:1",), period: float = 300) -> Uplink:
    machine = Uplink(random.Random(1))
    machine.configure(names, period, 0)
    return machine


def receipt(number: int, **more: object) -> Answer:
    return Answer(200, json.dumps({"packet": number, "events": 1, "dead": 0, **more}).encode())


def test_receipt_for_the_last_packet_means_delivered() -> None:
    machine = uplink()
    assert machine.answered(3, 5, receipt(5, dead=2), 0) == Delivered(2, False)
    assert machine.state is State.CONNECTED
    assert machine.problem == ""


def test_duplicate_counts_as_delivered() -> None:
    assert uplink().answered(5, 5, receipt(5, duplicate=True), 0) == Delivered(0, True)


@pytest.mark.parametrize("status", [301, 408, 429, 500, 502, 503, 504])
def test_busy_server_is_asked_again_for_ever(status: int) -> None:
    machine = uplink()
    for now in range(50):
        assert machine.answered(1, 1, Answer(status), now * 100) == Retry()
    assert machine.state is State.RETRYING
    assert str(status) in machine.problem


@pytest.mark.parametrize("status", [401, 403])
def test_refused_agent_says_what_to_do(status: int) -> None:
    machine = uplink()
    assert machine.answered(1, 1, Answer(status, b'{"error": "revoked"}'), 0) == Retry()
    assert machine.pause(0) >= 60
    assert machine.state is State.REFUSED
    assert "revoked" in machine.problem
    assert "deodar agent" in machine.problem


@pytest.mark.parametrize("committed", [1, 3, 4])
def test_part_that_the_server_has_is_acknowledged(committed: int) -> None:
    machine = uplink()
    answer = Answer(409, json.dumps({"error": "partly", "committed": committed}).encode())
    assert machine.answered(1, 5, answer, 0) == Partial(committed)
    assert machine.state is State.CONNECTED
    assert machine.pause(0) == 0


@pytest.mark.parametrize(
    "body", [b"", b'{"committed": 0}', b'{"committed": 5}', b'{"committed": -1}', b"<html>"]
)
def test_conflict_that_does_not_fit_loses_nothing(body: bytes) -> None:
    machine = uplink()
    assert machine.answered(1, 5, Answer(409, body), 0) == Retry()
    assert machine.state is State.RETRYING


def test_packet_that_is_too_large_goes_aside_at_once() -> None:
    verdict = uplink().answered(4, 4, Answer(413), 0)
    assert isinstance(verdict, SetAside)
    assert "413" in verdict.reason


def test_request_that_is_too_large_is_split_first() -> None:
    machine = uplink()
    assert isinstance(machine.answered(1, 4, Answer(413), 0), Split)
    assert isinstance(machine.answered(1, 4, Answer(413), 0, alone=True), SetAside)


@pytest.mark.parametrize("status", [400, 415, 422])
def test_packet_that_is_called_wrong_goes_aside_after_three_times(status: int) -> None:
    machine = uplink()
    answer = Answer(status, b'{"error": "bad header"}')
    machine.answered(3, 3, receipt(3), 0)
    verdicts = [machine.answered(4, 4, answer, now * 10) for now in range(3)]
    assert [type(verdict) for verdict in verdicts] == [Retry, Retry, SetAside]
    assert isinstance(verdicts[2], SetAside)
    assert "bad header" in verdicts[2].reason
    assert machine.answered(5, 5, answer, 100) == Retry()
    assert machine.state is State.CONNECTED  # the server is well


def test_request_that_is_called_wrong_is_split_after_three_times() -> None:
    machine = uplink()
    verdicts = [machine.answered(1, 9, Answer(400), now * 10) for now in range(3)]
    assert [type(verdict) for verdict in verdicts] == [Retry, Retry, Split]
    verdicts = [machine.answered(1, 1, Answer(400), now * 10) for now in range(3, 6)]
    assert [type(verdict) for verdict in verdicts] == [Retry, Retry, SetAside]


def test_wrong_packet_does_not_make_the_agent_go_to_another_server() -> None:
    machine = uplink(("a:1", "b:1"))
    machine.answered(1, 1, Answer(400), 0)
    assert machine.server == "a:1"
    assert not machine.take_news()[1:]


def test_synchronization_comes_first_and_then_each_period() -> None:
    machine = uplink(period=300)
    assert machine.sync_begins(0)
    machine.synchronized(1)
    assert not machine.sync_begins(300)
    assert machine.sync_in(300) == 1
    assert machine.sync_begins(301)


def test_each_synchronization_begins_with_the_first_server() -> None:
    machine = uplink(("a:1", "b:1"), period=300)
    assert machine.sync_begins(0)
    machine.failed(SYNC, GONE, 0)
    assert machine.sync_begins(0.1)
    assert machine.server == "b:1"
    machine.synchronized(0.2)
    machine.answered(1, 1, receipt(1), 100)
    assert machine.server == "b:1"
    assert machine.sync_begins(301)
    assert machine.server == "a:1"


def test_first_server_is_tried_once_in_a_synchronization() -> None:
    machine = uplink(("a:1", "b:1", "c:1"), period=300)
    tried = []
    for now in (0, 10, 20):  # each failure takes longer than a short rest
        assert machine.sync_begins(now)
        tried.append(machine.server)
        machine.failed(SYNC, GONE, now)
    assert tried == ["a:1", "b:1", "c:1"]


def test_packets_go_while_synchronization_fails() -> None:
    machine = uplink()
    assert machine.sync_begins(0)
    machine.failed(SYNC, WRONG, 0)
    now = machine.pause(0)
    machine.failed(SYNC, WRONG, now)
    now += machine.pause(now)
    waits = []
    for _ in range(40):
        assert isinstance(machine.answered(1, 1, receipt(1), now), Delivered)
        waits.append(machine.sync_in(now))
        now += waits[-1]
        assert machine.sync_begins(now)
        machine.failed(SYNC, WRONG, now)
        now += machine.pause(now)
    assert max(waits) <= 60
    assert min(waits[10:]) >= 25


def test_server_that_is_back_is_synchronized_with_at_once() -> None:
    machine = uplink()
    machine.synchronized(0)
    machine.answered(1, 1, Answer(503), 10)
    assert machine.sync_in(10) == 290
    machine.answered(1, 1, receipt(1), 11)
    assert machine.sync_begins(11)


def test_sync_now_lets_all_servers_be_tried() -> None:
    machine = uplink()
    machine.failed(SYNC, GONE, 0)
    machine.failed(SYNC, GONE, 0)
    assert machine.pause(0) > 0
    machine.sync_now(0)
    assert machine.pause(0) == 0
    assert machine.sync_begins(0)


def test_faults_and_hold_are_for_people() -> None:
    machine = uplink(("a:1", "b:1"))
    machine.failed(Activity.PACKETS, GONE, 0)
    assert machine.faults() == {"a:1": "refused"}
    machine.hold("no certificate")
    assert machine.problem == "no certificate"


@given(st.integers(100, 599), st.binary(max_size=30), st.none() | st.floats(0, 1e9))
def test_no_answer_loses_a_packet_without_a_receipt(
    status: int, body: bytes, retry_after: float | None
) -> None:
    machine = uplink()
    verdict = machine.answered(1, 1, Answer(status, body, retry_after), 0)
    assert isinstance(verdict, Retry) or (isinstance(verdict, SetAside) and status == 413)
    if isinstance(verdict, Retry):
        assert 0 < machine.pause(0) <= 360
