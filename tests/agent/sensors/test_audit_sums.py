from __future__ import annotations

from deodar.agent.sensors.acts import ProcessAccess
from deodar.agent.sensors.audit_sums import MOST, WAIT_NS, Sums
from deodar.agent.sensors.base import ProcessKey

SOURCE, TARGET = ProcessKey(1, 2), ProcessKey(3, 4)


def access(time, size=10, target=TARGET, way="ptrace_poke"):
    return ProcessAccess(time, SOURCE, target, way, size)


def test_the_first_is_told_and_the_others_with_the_next_after_a_while() -> None:
    sums = Sums()
    assert sums.add(access(0)) == [access(0)]
    assert sums.add(access(1)) == sums.add(access(2)) == []
    (later,) = sums.add(access(WAIT_NS))
    assert (later.calls, later.size) == (3, 30)
    assert sums.overdue(WAIT_NS) == []


def test_what_is_over_is_told_once_and_forgotten() -> None:
    sums = Sums()
    sums.add(access(0))
    for time in range(1, 4):
        sums.add(access(time))
    assert sums.overdue(WAIT_NS - 1) == []
    (rest,) = sums.overdue(WAIT_NS)
    assert (rest.calls, rest.size, rest.time_ns) == (3, 30, 3)
    assert sums.overdue(WAIT_NS * 9) == []
    assert len(sums.add(access(WAIT_NS + 5))) == 1


def test_other_targets_and_ways_are_told_by_themselves() -> None:
    sums = Sums()
    assert sums.add(access(0))
    assert sums.add(access(1, way="ptrace_attach"))
    assert sums.add(access(2, target=ProcessKey(3, 5)))


def test_what_finds_no_room_is_told_one_by_one() -> None:
    sums = Sums()
    for number in range(MOST):
        sums.add(access(0, target=ProcessKey(number, 1)))
    assert sums.add(access(1)) == [access(1)]
    assert sums.add(access(2)) == [access(2)]
    assert sums.add(access(3, target=ProcessKey(5, 1))) == []
