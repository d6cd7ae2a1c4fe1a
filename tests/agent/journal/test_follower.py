from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.agent.journal.follower import Follower
from deodar.agent.journal.query import parse
from deodar.agent.journal.record import EventType

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.journal.record import Record

EVERYTHING = parse("")


def nobody(_: Follower) -> None:
    pass


def switches(thread: threading.Thread) -> int:
    """Return how often a thread was woken and slept again."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_only_what_meets_the_query_comes_and_in_order(made: Callable[..., Record]) -> None:
    follower = Follower(parse("TaskId == '24'"), nobody)
    records = [made(n, task_id=24 if n % 2 else 20) for n in range(1, 7)]
    for record in records:
        follower.put(record)
    assert [next(follower) for _ in range(3)] == records[::2]


def test_a_slow_reader_is_told_how_many_it_missed(made: Callable[..., Record]) -> None:
    follower = Follower(EVERYTHING, nobody, size=3)
    for number in range(1, 11):
        follower.put(made(number))
    note = next(follower)
    assert (note.event_type, note.details) == (EventType.EVENTS_SKIPPED, {"Count": "7"})
    assert [next(follower).event_id for _ in range(3)] == [8, 9, 10]
    follower.put(made(11))
    assert next(follower).event_id == 11


def test_closing_wakes_the_one_who_waits_and_leaves(made: Callable[..., Record]) -> None:
    left: list[Follower] = []
    follower = Follower(EVERYTHING, left.append)
    found: list[Record] = []
    thread = threading.Thread(target=lambda: found.extend(follower))
    thread.start()
    follower.put(made(1))
    while not found:
        time.sleep(0.001)
    follower.close()
    thread.join(5)
    assert not thread.is_alive()
    assert found == [made(1)]
    assert left == [follower]
    follower.put(made(2))
    assert list(follower) == []


def test_waiting_wakes_nobody() -> None:
    follower = Follower(EVERYTHING, nobody)
    thread = threading.Thread(target=lambda: list(follower))
    thread.start()
    time.sleep(0.2)
    before = switches(thread)
    time.sleep(1.0)
    assert switches(thread) == before
    follower.close()
    thread.join(5)
