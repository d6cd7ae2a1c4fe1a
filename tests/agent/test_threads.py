from __future__ import annotations

import json
import time

from structlog.testing import capture_logs

from deodar.agent.threads import WatchedThread, until_look


def test_work_is_done_in_a_daemon() -> None:
    done: list[int] = []
    thread = WatchedThread("worker", lambda: done.append(1))
    thread.start()
    thread.join(10)
    assert done == [1]
    assert thread.failure == ""
    assert thread.daemon


def test_error_is_kept_and_logged() -> None:
    thread = WatchedThread("worker", lambda: json.loads("nonsense"))
    with capture_logs() as logs:
        thread.start()
        thread.join(10)
    assert thread.failure.startswith("worker: JSONDecodeError: Expecting value")
    assert [(log["event"], log["thread"]) for log in logs] == [("a thread failed", "worker")]


def test_threads_that_look_now_and_then_wake_at_the_same_moments():
    for every in (0.5, 2.0, 6.0):
        rest = until_look(every)
        assert 0 < rest <= every
        phase = (time.monotonic() + rest) % every
        assert min(phase, every - phase) < 0.1
