from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.journal.record import Record, local_time
from deodar.agent.journal.repeats import BURST, TYPES, WINDOW, Repeats

if TYPE_CHECKING:
    from collections.abc import Callable

DATE = 1_790_000_000.25


class Kept:
    """What a store would do with repeats."""

    def __init__(self) -> None:
        self.repeats = Repeats()
        self.records: dict[int, Record] = {}
        self.writes = 0

    def add(self, record: Record, now: float) -> None:
        if self.repeats.merge(record, now) is None:
            self.repeats.remember(record, now)
            self.records[record.event_id] = record
        due = self.repeats.due(now)
        self.writes += len(due)
        self.records |= {repeated.event_id: repeated for repeated in due}


def test_the_same_again_is_counted(made: Callable[..., Record]) -> None:
    kept = Kept()
    for number in range(1, 4):
        kept.add(made(number, date=DATE + number, details={"Problem": "refused"}), number)
    kept.records |= {r.event_id: r for r in kept.repeats.rest()}
    assert [r.details for r in kept.records.values()] == [
        {"Problem": "refused", "RepeatCount": "3", "RepeatLastDate": local_time(DATE + 3)}
    ]
    assert kept.records[1].date == DATE + 1


def test_after_the_time_a_new_one_begins(made: Callable[..., Record]) -> None:
    kept = Kept()
    for number in range(1, 8):
        kept.add(made(number), number * WINDOW / 2.5)
    assert list(kept.records) == [1, 4, 7]


def test_the_order_of_states_is_kept(made: Callable[..., Record]) -> None:
    kept = Kept()
    for number, state in enumerate(["Started", "Stopped", "Started", "Started", "Stopped"], 1):
        kept.add(made(number, details={"TaskState": state}), 1.0)
    states = [r.details["TaskState"] for r in kept.records.values()]
    assert states == ["Started", "Stopped", "Started", "Stopped"]


def test_another_task_level_or_initiator_is_another_event(made: Callable[..., Record]) -> None:
    kept = Kept()
    kept.add(made(1), 1.0)
    kept.add(made(2, task_id=24), 1.0)
    kept.add(made(3, task_id=24, initiator="User"), 1.0)
    kept.add(made(4, task_id=24, initiator="User", danger_level="Warning"), 1.0)
    assert len(kept.records) == 4


def test_a_storm_of_different_ones_is_counted_in_the_last(made: Callable[..., Record]) -> None:
    kept = Kept()
    for number in range(1, 1001):
        level = "Critical" if number == 500 else "Info"
        kept.add(made(number, details={"N": str(number)}, danger_level=level), 1.0 + number / 100)
    kept.records |= {r.event_id: r for r in kept.repeats.rest()}
    assert list(kept.records) == list(range(1, BURST + 1))
    last = kept.records[BURST]
    assert last.details["N"] == "1000"
    assert last.details["RepeatCount"] == str(1000 - BURST + 1)
    assert last.danger_level == "Critical"  # the worst of them


def test_counting_writes_little(made: Callable[..., Record]) -> None:
    kept = Kept()
    for number in range(10_000):
        kept.add(made(number), number / 1000)  # ten seconds
    assert kept.writes < 30
    assert [r.details["RepeatCount"] for r in kept.repeats.rest()] == ["10000"]
    assert kept.repeats.rest() == []


def test_types_are_remembered_up_to_a_bound(made: Callable[..., Record]) -> None:
    repeats = Repeats()
    for number in range(TYPES * 3):
        repeats.remember(made(number, event_type=f"T{number}"), 1.0)
    assert len(repeats._last) <= TYPES
