from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from deodar.agent.intake import Intake
from deodar.agent.loss import LossBook
from deodar.agent.sensors.base import Exec, Exit, ProcessKey, SensorCounters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def batch(count: int, first: int = 1) -> list[Exit]:
    return [Exit(time_ns, ProcessKey(1, 1)) for time_ns in range(first, first + count)]


class Given:
    """A source that gives some batches, then waits until it is interrupted."""

    def __init__(self, *batches: Sequence[Any], lossless: bool = False) -> None:
        self.batches = list(batches)
        self.lossless = lossless
        self.finished = False
        self.woken = threading.Event()

    def read(self, timeout: float) -> Sequence[Any]:
        if self.batches:
            return self.batches.pop(0)
        self.woken.wait(timeout)
        return []

    def interrupt(self) -> None:
        self.woken.set()

    def counters(self) -> SensorCounters:
        return SensorCounters(0, 0)


def never() -> bool:
    return False


def test_batches_come_out_as_they_went_in(until: Callable[..., Any]) -> None:
    source = Given(batch(3), batch(2))
    intake = Intake(source, LossBook(), 100, never)
    intake.start()
    until(lambda: intake.records == 5)
    assert intake.waiting == 5
    taken = [*intake.take(1), *intake.take(1)]
    for _ in taken:
        intake.done(taken[0])
    assert (len(taken), intake.waiting) == (5, 0)
    intake.stop(5)


def test_what_does_not_fit_is_counted_with_its_times(until: Callable[..., Any]) -> None:
    losses = LossBook()
    source = Given(batch(8), batch(8, 100))
    intake = Intake(source, losses, 10, never)
    intake.start()
    until(lambda: not source.batches)
    until(losses.totals)
    (loss,) = losses.take()
    assert (loss.count, loss.stage, loss.first_ns, loss.last_ns) == (6, "queue", 102, 107)
    assert intake.waiting == 10
    intake.stop(5)


def test_records_with_long_arguments_count_as_many(until: Callable[..., Any]) -> None:
    long = Exec(5, ProcessKey(1, 1), ProcessKey(2, 2), [b"x" * 32_000])
    losses = LossBook()
    source = Given([long] * 4)
    intake = Intake(source, losses, 100, never)
    intake.start()
    until(losses.totals)
    assert (intake.waiting, losses.totals()) == (3, {"queue": 1})
    for record in intake.take(1):
        intake.done(record)
    source.batches.append([long] * 3)
    source.woken.set()
    until(lambda: intake.waiting == 3)
    intake.stop(5)


def test_stop_ends_a_read_and_what_waits_can_still_be_taken(until: Callable[..., Any]) -> None:
    intake = Intake(Given(batch(3)), LossBook(), 10, never)
    intake.start()
    until(lambda: intake.records)
    before = time.monotonic()
    intake.stop(30)
    assert time.monotonic() - before < 4
    assert not intake.is_over
    while not intake.is_over:
        intake.take(0)
    assert intake.records == 3


def test_taking_waits_no_longer_than_asked() -> None:
    intake = Intake(Given(), LossBook(), 10, never)
    assert intake.take(0) == ()
    before = time.monotonic()
    assert intake.take(0.05) == ()
    assert time.monotonic() - before >= 0.05


def test_another_thread_can_put_something_between(until: Callable[..., Any]) -> None:
    intake = Intake(Given(), LossBook(), 10, never)
    threading.Timer(0.05, intake.put, [("a word",)]).start()
    assert intake.take(20) == ("a word",)
    assert intake.waiting == 0


def test_source_that_can_wait_is_asked_only_when_there_is_room(until: Callable[..., Any]) -> None:
    full = threading.Event()
    full.set()
    source = Given(batch(1), batch(1), batch(1), lossless=True)
    losses = LossBook()
    intake = Intake(source, losses, 1, full.is_set)
    intake.start()
    time.sleep(0.1)
    assert len(source.batches) == 3
    full.clear()
    until(lambda: intake.records == 2)
    time.sleep(0.1)
    assert len(source.batches) == 1
    intake.done(intake.take(1)[0])
    until(lambda: not source.batches)
    intake.stop(5)
    assert losses.totals() == {}


def test_source_that_ends_ends_the_reading(until: Callable[..., Any]) -> None:
    source = Given(batch(1))
    source.finished = True
    source.woken.set()
    intake = Intake(source, LossBook(), 10, never)
    intake.start()
    until(lambda: intake.records)
    until(lambda: intake.take(0) is not None and intake.is_over)


def test_failure_is_told(until: Callable[..., Any]) -> None:
    class Failing(Given):
        def read(self, timeout: float) -> Sequence[Any]:
            raise OSError(5, "Input/output error")

    intake = Intake(Failing(), LossBook(), 10, never)
    intake.start()
    assert "Input/output error" in until(lambda: intake.failure)
