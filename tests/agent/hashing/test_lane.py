from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.hashing import lane as module
from deodar.agent.hashing.job import Job
from deodar.agent.hashing.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable


def drop(one: Job) -> None:
    one.end(None, keep=False)


def job(name: str, *, urgent: bool = False) -> Job:
    return Job(None, [name], lambda _: None, urgent=urgent)


def test_urgent_jobs_come_first_and_have_room_of_their_own(until: Callable[..., Any]) -> None:
    begin, done = threading.Event(), []

    def work(one: Job) -> None:
        begin.wait(20)
        done.append(one.paths[0])

    lane = Lane("test", work, drop, room=2, urgent=1)
    assert lane.put(job("first"))
    until(lambda: lane.waiting == 0)
    assert [lane.put(job(name)) for name in ("a", "b", "c")] == [True, True, False]
    assert [lane.put(job(name, urgent=True)) for name in ("x", "y")] == [True, False]
    begin.set()
    until(lambda: len(done) == 4)
    assert done == ["first", "x", "a", "b"]
    lane.close()


def test_error_ends_one_job_and_not_the_lane(until: Callable[..., Any]) -> None:
    def work(one: Job) -> None:
        if one.paths[0] == "odd":
            raise ValueError("odd")
        drop(one)
        raise ValueError("after the end")

    lane = Lane("test", work, drop, room=2)
    odd, other = job("odd"), job("other")
    assert lane.put(odd)
    assert lane.put(other)
    assert odd.ended.wait(20)
    assert other.ended.wait(20)
    last = job("last")
    until(lambda: lane.put(last))
    assert last.ended.wait(20)
    lane.close()


def test_lane_says_when_it_has_nothing_to_do(
    until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE", 0.01)
    idle = threading.Event()
    lane = Lane("test", drop, drop, room=2, idle=idle.set)
    assert lane.put(job("first"))
    assert idle.wait(20)
    last = job("last")
    assert lane.put(last)
    assert last.ended.wait(20)
    lane.close()


def test_closed_lane_takes_no_more_and_its_thread_ends(until: Callable[..., Any]) -> None:
    lane = Lane("test-closed", drop, drop, room=2)
    assert lane.put(job("first"))
    lane.close()
    assert not lane.put(job("second"))
    until(lambda: "test-closed" not in [thread.name for thread in threading.enumerate()])
