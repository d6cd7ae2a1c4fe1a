from __future__ import annotations

from pathlib import Path

import pytest

from deodar.agent.journal.record import EventType
from deodar.agent.loss import LossBook
from deodar.agent.self_report import LOSS_EVERY, SelfReport
from deodar.agent.status import RefusedSensor
from deodar.kit.journal import Damage


class Told:
    """What was noted, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[str, dict[str, object]]] = []

    def clock(self) -> float:
        return self.now

    def __call__(self, event_type: EventType, **details: object) -> None:
        assert set(details) <= set(event_type.details)
        self.events.append((event_type, details))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def book() -> LossBook:
    return LossBook()


@pytest.fixture
def report(told: Told, book: LossBook) -> SelfReport:
    return SelfReport(book, told, clock=told.clock)


def counts(told: Told) -> list[object]:
    return [details["Count"] for _, details in told.events]


def test_first_loss_is_told_at_once_and_more_of_it_now_and_then(
    report: SelfReport, book: LossBook, told: Told
) -> None:
    report.losses()
    assert told.events == []
    book.add(3, "throttle", "too many")
    report.losses()
    assert told.events == [
        ("TelemetryLoss", {"Stage": "throttle", "Reason": "too many", "Count": 3})
    ]
    for _ in range(5):
        book.add(2, "throttle", "too many")
        report.losses()
    book.add(1, "spool", "full")  # of another place: at once
    report.losses()
    assert counts(told) == [3, 1]
    told.now = LOSS_EVERY
    report.losses()
    assert counts(told) == [3, 1, 10]


def test_no_loss_is_left_untold_at_the_end(report: SelfReport, book: LossBook, told: Told) -> None:
    for _ in range(2):
        book.add(4, "queue", "full")
        report.losses()
    report.losses(all_now=True)
    report.losses(all_now=True)
    assert counts(told) == [4, 4]


def test_sensor_that_does_not_work_is_told_while_the_reason_is_new(
    report: SelfReport, told: Told
) -> None:
    without = RefusedSensor("bpf", "no BTF in this kernel")
    for refused in ([], [without], [without], [without, RefusedSensor("audit", "locked")]):
        report.sensors(refused)
    assert [details["Sensor"] for _, details in told.events] == ["bpf", "audit"]
    report.sensors([])
    report.sensors([without])
    assert told.events[-1] == (
        "SensorUnavailable",
        {"Sensor": "bpf", "Reason": "no BTF in this kernel"},
    )
    assert len(told.events) == 3


def test_damage_is_told_once_with_the_place_of_what_was_kept(
    report: SelfReport, told: Told
) -> None:
    first = Damage("1.seg", 10, 20, Path("/x/damaged/1.seg.10"))
    report.damage([first])
    report.damage([first, Damage("2.seg", 0, 5, None)])
    problems = [str(details["Problem"]) for _, details in told.events]
    assert problems[0] == "bytes 10 to 20 cannot be read; set aside as /x/damaged/1.seg.10"
    assert "could not be set aside" in problems[1]
    assert len(problems) == 2
