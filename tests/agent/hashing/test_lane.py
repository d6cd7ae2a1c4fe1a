from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from deodar.agent.hashing.job import Job
from deodar.agent.hashing.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable


def job(name: str, *, urgent: bool = False) -> Job:
    return Job(None, [name], lambda _: None, urgent=urgent)


def test_urgent_jobs_come_first_and_have_room_of_their_own(until: Callable[..., Any]) -> None:
    begin, done = threading.Event(), []

    def work(one: Job) -> None:
        begin.wait(20)
        done.append(one.paths[0])

    lane = Lane("test", work, room=2, urgent=1)
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
        one.end(None, keep=False)

    lane = Lane("test", work, room=2, urgent=0)
    odd, other = job("odd"), job("other")
    assert lane.put(odd)
    assert lane.put(other)
    assert odd.ended.wait(20)
    assert other.ended.wait(20)
    lane.close()


def test_closed_lane_takes_no_more_and_its_thread_ends(until: Callable[..., Any]) -> None:
    lane = Lane("test-closed", lambda one: one.fail(), room=2, urgent=0)
    assert lane.put(job("first"))
    lane.close()
    assert not lane.put(job("second"))
    until(lambda: "test-closed" not in [thread.name for thread in threading.enumerate()])
