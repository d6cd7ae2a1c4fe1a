"""Boot time to wall clock."""

from __future__ import annotations

import time

from deodar.agent.sensors import clock as module
from deodar.agent.sensors.clock import WallClock


def test_now_is_now():
    wall = WallClock()
    before = time.time_ns()
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + wall.offset()
    assert abs(now - before) < 50_000_000


def test_other_clocks_can_be_asked_for():
    wall = WallClock(time.CLOCK_MONOTONIC)
    before = time.time_ns()
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + wall.offset()
    assert abs(now - before) < 50_000_000


class Clocks:
    """Two clocks that advance by `step` ns whenever one is looked at."""

    def __init__(self, offset, step):
        self.now, self.offset, self.step = 10**15, offset, step

    def __call__(self, clock):
        self.now += self.step
        return self.now + (self.offset if clock == time.CLOCK_REALTIME else 0)


def test_step_of_the_wall_clock_shows_at_the_next_look(monkeypatch):
    clocks = Clocks(offset=5 * 10**17, step=100)
    monkeypatch.setattr(module.time, "clock_gettime_ns", clocks)
    wall = WallClock()
    assert wall.offset() == 5 * 10**17
    clocks.offset -= 3_600 * 10**9
    assert wall.offset() == 5 * 10**17 - 3_600 * 10**9


def test_doubtful_reading_does_not_move_the_difference(monkeypatch):
    clocks = Clocks(offset=5 * 10**17, step=100)
    monkeypatch.setattr(module.time, "clock_gettime_ns", clocks)
    wall = WallClock()
    clocks.step, clocks.offset = 10**6, 5 * 10**17 + 5_000
    assert wall.offset() == 5 * 10**17
