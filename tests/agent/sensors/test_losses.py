"""Each loss is told once, and counted for ever."""

from __future__ import annotations

import time

from deodar.agent.sensors.base import Lost
from deodar.agent.sensors.losses import MALFORMED, Loss, Losses

FULL = Loss("exec", "the ring was full")
BAD = Loss("", MALFORMED)


def test_only_growth_is_told():
    losses = Losses("bpf")
    losses.note({FULL: 3})
    before = time.time_ns()
    (told,) = losses.untold()
    assert told == Lost(told.time_ns, 3, "bpf", "the ring was full", "exec")
    assert before <= told.time_ns <= time.time_ns()
    assert losses.untold() == []
    losses.note({FULL: 5})
    assert [r.count for r in losses.untold()] == [2]


def test_totals_never_go_down():
    losses = Losses("audit")
    losses.note({FULL: 5})
    losses.note({FULL: 2})
    assert losses.counters(7) == (7, 5, 0)


def test_what_could_not_be_decoded_is_counted_apart():
    losses = Losses("proc")
    losses.add(BAD)
    losses.add(BAD, 2)
    losses.add(FULL)
    assert losses.counters(0) == (0, 1, 3)
    assert {r.reason: r.count for r in losses.untold()} == {MALFORMED: 3, FULL.reason: 1}
