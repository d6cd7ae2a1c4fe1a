from __future__ import annotations

import json
import time

import msgspec
import pytest

from deodar import __version__
from deodar.agent import synchronization
from deodar.agent.answers import Answer, Fault
from deodar.agent.synchronization import SyncAnswer


def answer(**fields: object) -> Answer:
    value = {"server_id": "s", "time_us": 5, "policy_version": 0, "policy": None, **fields}
    return Answer(200, json.dumps(value).encode())


def test_report_says_who_and_when() -> None:
    body = synchronization.report_body("a-1", {"host": {"name": "h"}, "tasks": []}, 7, 3)
    assert json.loads(body) == {
        "agent_id": "a-1",
        "time_us": 7,
        "version": __version__,
        "policy_version": 3,
        "host": {"name": "h"},
        "tasks": [],
    }


@pytest.mark.parametrize(("report", "version"), [({}, 0), ({"policy_version": 4}, 4)])
def test_version_of_the_policy_is_the_reports(report: dict[str, int], version: int) -> None:
    assert synchronization.policy_version(report) == version


def test_answer_with_a_policy_is_read() -> None:
    read = synchronization.read_answer(answer(policy_version=2, policy={"name": "x"}), 1)
    assert read == SyncAnswer("s", 5, 2, {"name": "x"})


def test_answer_without_news_is_read() -> None:
    assert synchronization.read_answer(answer(policy_version=2), 2) == SyncAnswer("s", 5, 2, None)
    assert synchronization.read_answer(answer(), 2) == SyncAnswer("s", 5, 0, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"server_id": "s", "time_us": -1}',
        b'{"server_id": "s", "time_us": 1, "policy_version": -1}',
        b'{"server_id": "s", "time_us": 1, "policy": []}',
        b'{"server_id": "s", "time_us": 1, "policy": ' + b"[" * 50_000,
        b'{"server_id": "s", "time_us": 1, "policy_version": 9}',
    ],
)
def test_nonsense_changes_nothing(body: bytes) -> None:
    assert isinstance(synchronization.read_answer(Answer(200, body), 1), Fault)


def test_clock_offset_is_measured_against_the_middle() -> None:
    read = SyncAnswer("s", 10_000_000)
    assert synchronization.clock_offset(read, 3_000_000, 5_000_000) == 6.0


def test_largest_policy_fits_in_the_answer_that_is_read() -> None:
    program = {"ProgramPath": "/" + "x" * 2000, "ProgramDesc": "y" * 1024}
    values = {"TrustedPrograms": [program] * 1000, "UseTrustedPrograms": True}
    policy = {"version": 1, "name": "p", "settings": {"Behavior_Detection": values}}
    assert len(msgspec.json.encode(policy)) < synchronization.LARGEST_ANSWER
    started = time.monotonic()
    synchronization.read_answer(answer(policy_version=1, policy=policy), 0)
    assert time.monotonic() - started < 1
