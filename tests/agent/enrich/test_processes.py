from __future__ import annotations

import pytest

from deodar.agent.enrich import processes as module
from deodar.agent.enrich.processes import KEPT_AFTER_EXIT_NS, Image, Process, ProcessTable
from deodar.agent.sensors.base import ProcessKey

TICK = 10_000_000


def process(pid: int, start: int = TICK) -> Process:
    return Process(ProcessKey(pid, start), image=Image(exe=f"/bin/{pid}"))


def table(limit: int = 100) -> ProcessTable:
    return ProcessTable(limit, lambda _pid: None)


def test_process_is_found_by_exact_and_by_rounded_start() -> None:
    processes = table()
    processes.put(process(5, 3 * TICK + 17))
    assert processes.get(ProcessKey(5, 3 * TICK)) is processes.get(ProcessKey(5, 3 * TICK + 999))
    assert processes.get(ProcessKey(5, 4 * TICK)) is None


def test_unknown_start_means_the_newest_of_that_pid() -> None:
    processes = table()
    processes.put(process(5, TICK))
    processes.put(process(5, 2 * TICK))
    found = processes.get(ProcessKey(5, 0))
    assert found is not None
    assert found.key.start == 2 * TICK


def test_ended_process_still_names_its_children_for_some_seconds() -> None:
    processes = table()
    parent, other = process(5), process(6)
    processes.put(parent)
    processes.put(other)
    processes.end(parent, 0)
    assert processes.get(parent.key) is parent
    processes.end(other, KEPT_AFTER_EXIT_NS + 1)
    assert processes.get(parent.key) is None
    assert processes.get(other.key) is other


def test_full_table_forgets_the_dead_before_the_living() -> None:
    processes = table(limit=2)
    living, dead = process(1), process(2)
    processes.put(living)
    processes.put(dead)
    processes.end(dead, 0)
    processes.put(process(3))
    assert len(processes) == 2
    assert processes.get(living.key) is living
    assert processes.get(dead.key) is None


def test_full_table_of_the_living_forgets_the_oldest() -> None:
    processes = table(limit=2)
    for pid in (1, 2, 3):
        processes.put(process(pid))
    assert len(processes) == 2
    assert processes.get(ProcessKey(1, TICK)) is None


def test_table_never_outgrows_its_limit() -> None:
    processes = table(limit=50)
    for pid in range(1, 500):
        one = process(pid)
        processes.put(one)
        if pid % 3:
            processes.end(one, pid)
        assert len(processes) <= 50


def test_living_process_is_asked_for_once() -> None:
    asked: list[int] = []

    def find_live(pid: int) -> Process | None:
        asked.append(pid)
        return process(pid)

    processes = ProcessTable(10, find_live)
    assert processes.find(ProcessKey(7, TICK)) is processes.find(ProcessKey(7, TICK))
    assert asked == [7]


def test_later_process_of_the_same_pid_is_not_taken_for_the_earlier() -> None:
    processes = ProcessTable(10, lambda pid: process(pid, 9 * TICK))
    assert processes.find(ProcessKey(7, TICK)) is None
    assert processes.find(ProcessKey(0, 0)) is None


def test_an_expected_process_is_made_when_it_is_first_asked_for() -> None:
    processes = table()
    made: list[int] = []

    def make() -> Process:
        made.append(1)
        return process(5, 3 * TICK)

    processes.expect(ProcessKey(5, 3 * TICK), make)
    assert made == []
    found = processes.get(ProcessKey(5, 3 * TICK + 1))
    assert found is not None
    assert processes.get(ProcessKey(5, 0)) is found
    assert made == [1]


def test_a_process_that_comes_by_itself_is_expected_no_more() -> None:
    processes = table()
    processes.expect(ProcessKey(5, TICK), lambda: process(5))
    other = process(5)
    processes.put(other)
    assert processes.get(ProcessKey(5, TICK)) is other
    processes.end(other, 0)
    processes.end(process(6), KEPT_AFTER_EXIT_NS + 1)
    assert processes.get(ProcessKey(5, TICK)) is None


def test_no_more_are_expected_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EXPECTED", 2)
    processes = table()
    for pid in (5, 6, 7):
        processes.expect(ProcessKey(pid, TICK), lambda pid=pid: process(pid))
    assert [one.key.pid for one in processes] == [5]
    assert processes.get(ProcessKey(7, TICK)) is not None
