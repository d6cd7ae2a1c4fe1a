from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.loss import LossBook
from deodar.agent.throttle import OVER_AFTER, Throttle, ThrottleLimits
from deodar.events import importance

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = ThrottleLimits(use=True, per_hour=3600, percent=15)
"""One event a second."""


class Rig:
    """A throttle with a clock that stands until it is told to go on."""

    def __init__(self, limits: ThrottleLimits = LIMIT) -> None:
        self.now = 1000.0
        self.losses = LossBook()
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.throttle = Throttle(
            limits, self.losses, lambda *told: self.told.append(told), lambda: self.now
        )

    def offer(self, count: int, event_type: str) -> int:
        """Return how many of `count` events may pass."""
        level = importance.of(event_type)
        time_ns = int(self.now * 1e9)
        return sum(self.throttle.admits(event_type, level, time_ns) for _ in range(count))

    def lost(self) -> dict[str, int]:
        self.throttle.settle()
        return {loss.reason: loss.count for loss in self.losses.take()}


def test_as_many_as_an_hour_may_have_pass_at_once() -> None:
    rig = Rig()
    assert rig.offer(3600, "process_terminate") == 3600
    assert rig.offer(10, "process_terminate") == 0
    rig.now += 5
    assert rig.offer(10, "process_terminate") == 5
    assert rig.throttle.held_back == 15


def test_every_event_counts_but_only_those_of_low_importance_are_held_back() -> None:
    rig = Rig()
    assert rig.offer(3600, "process") == 3600
    assert rig.offer(500, "process") == 500
    assert rig.offer(500, "threatdetect") == 500
    assert rig.offer(1000, "process_fork") + rig.throttle.held_back == 1000
    assert rig.throttle.held_back > 0


@pytest.mark.setting("KATAEDR.EventTransferSettings.MaximumNumberOfEventsInHour")
def test_in_an_hour_no_more_pass_than_the_bucket_and_what_fills_it(
    saw: Callable[[str, str], None],
) -> None:
    rig = Rig(ThrottleLimits(use=True, per_hour=3000, percent=5))
    rig.offer(3000, "process_terminate")
    passed = 0
    for _ in range(3600):
        rig.now += 1
        passed += rig.offer(3, "process_terminate")
    assert passed == pytest.approx(3000, abs=2)
    saw(
        "KATAEDR.EventTransferSettings.MaximumNumberOfEventsInHour",
        f"limit 3000: of 10,800 ends of processes in an hour {passed} passed "
        f"and {rig.throttle.held_back} were held back",
    )


@pytest.mark.setting("KATAEDR.EventTransferSettings.EventLimitExceededPercentage")
def test_type_below_its_share_passes(saw: Callable[[str, str], None]) -> None:
    rig = Rig()
    rig.offer(9000, "process")
    below = rig.offer(1000, "process_terminate")
    above = rig.offer(2000, "process_terminate")
    assert below == 1000
    assert 0 < above < 700
    assert (1000 + above) / (9000 + 1000 + above) == pytest.approx(0.15, abs=0.01)
    saw(
        "KATAEDR.EventTransferSettings.EventLimitExceededPercentage",
        f"15 %: beside 9000 other events {below + above} of 3000 ends of processes passed, "
        f"then they were 15 % of all",
    )


def test_shares_are_those_of_the_last_hour() -> None:
    rig = Rig(ThrottleLimits(use=True, per_hour=60, percent=50))
    rig.offer(60, "process")
    rig.offer(100, "process_terminate")
    assert rig.throttle.held_back > 0
    rig.now += 3600
    rig.offer(1000, "process")
    held = rig.throttle.held_back
    assert rig.offer(900, "process_terminate") == 900
    assert rig.throttle.held_back == held


@pytest.mark.setting("KATAEDR.EventTransferSettings.UseRequestCountLimits")
def test_without_limits_everything_passes(saw: Callable[[str, str], None]) -> None:
    rig = Rig(ThrottleLimits(use=False, per_hour=1, percent=5))
    assert rig.offer(10_000, "process_terminate") == 10_000
    assert rig.lost() == {}
    with_limits = Rig(ThrottleLimits(use=True, per_hour=1, percent=5)).offer(
        10_000, "process_terminate"
    )
    assert with_limits == 1
    saw(
        "KATAEDR.EventTransferSettings.UseRequestCountLimits",
        "limit 1 an hour, 10,000 ends of processes: with No all passed, with Yes 1",
    )


def test_what_is_held_back_is_in_the_book_by_type_with_its_times() -> None:
    rig = Rig()
    rig.offer(3600, "process_terminate")
    rig.offer(7, "process_terminate")
    rig.now += 2
    rig.offer(9, "process_terminate")
    rig.throttle.settle()
    (loss,) = rig.losses.take()
    assert (loss.count, loss.stage) == (14, "throttle")
    assert "process_terminate" in loss.reason
    assert "3600 events an hour" in loss.reason
    assert (loss.first_ns, loss.last_ns) == (1000 * 10**9, 1002 * 10**9)


def test_begin_and_end_are_told_once() -> None:
    rig = Rig()
    rig.offer(3700, "process_terminate")
    since = rig.throttle.active_since
    assert since is not None
    assert abs(since - time.time()) < 60
    assert [name for name, _ in rig.told] == ["ThrottlingStarted"]
    assert rig.told[0][1]["MaximumNumberOfEventsInHour"] == "3600"
    rig.now += OVER_AFTER - 1
    rig.throttle.settle()
    assert rig.throttle.active_since == since
    rig.now += 2
    rig.throttle.settle()
    assert rig.throttle.active_since is None
    assert rig.told[1] == ("ThrottlingEnded", {"EventsHeldBack": "100", "Seconds": "61"})


def test_limits_can_change_meanwhile() -> None:
    rig = Rig()
    rig.offer(1800, "process_terminate")
    rig.throttle.change(ThrottleLimits(use=True, per_hour=100, percent=15))
    assert rig.offer(200, "process_terminate") == 50
    rig.throttle.change(ThrottleLimits(use=False, per_hour=100))
    assert rig.offer(200, "process_terminate") == 200
    assert [name for name, _ in rig.told] == ["ThrottlingStarted", "ThrottlingEnded"]
    rig.throttle.change(LIMIT)
    assert rig.offer(4000, "process_terminate") == 3600
    assert sum(rig.lost().values()) == 150 + 400


def test_the_same_limits_change_nothing() -> None:
    rig = Rig()
    rig.offer(3600, "process_terminate")
    rig.throttle.change(ThrottleLimits(use=True, per_hour=3600, percent=15))
    assert rig.offer(1, "process_terminate") == 0
