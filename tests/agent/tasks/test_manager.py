from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deodar.agent.tasks.manager import TaskManager, TaskState
from deodar.kit.directory import StateDirectory
from deodar.kit.errors import DeodarError
from deodar.tasks.errors import NotStarted, TaskError, UnknownTask, WrongState

DETECTION, INTEGRATION, PREVENTION = "Behavior_Detection", "KATAEDR", "KATAEDR_Prevention"
PATIENCE = 10.0


class Work:
    """A task's work in a thread of its own; start and stop can be held up and can fail."""

    def __init__(self) -> None:
        self.may_start, self.may_stop = threading.Event(), threading.Event()
        self.may_start.set()
        self.may_stop.set()
        self.entered = threading.Event()
        self.fails: Exception | None = None
        self.starts = self.stops = 0
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        self.starts += 1
        self.entered.set()
        assert self.may_start.wait(PATIENCE)
        if self.fails is not None:
            raise self.fails
        assert not self.runs, "started twice"
        self._end.clear()
        self._thread = threading.Thread(target=self._end.wait, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stops += 1
        self.entered.set()
        assert self.may_stop.wait(PATIENCE)
        self._end.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        if self.fails is not None:
            raise self.fails


class Bench:
    """A manager with two tasks, and what it told."""

    def __init__(self, folder: Path, patience: float = PATIENCE) -> None:
        self.directory = StateDirectory.create(folder)
        self.work = {DETECTION: Work(), INTEGRATION: Work()}
        self.told: list[tuple[str, str, str]] = []
        self.reasons: list[str] = []
        self.tasks = self.manager(patience)

    def manager(self, patience: float = PATIENCE) -> TaskManager:
        return TaskManager(self.directory, self.work, self._on_state, patience=patience)

    def _on_state(self, state: TaskState, initiator: str) -> None:
        self.told.append((state.name, state.state, initiator))
        if state.error:
            self.reasons.append(state.error)

    def states(self) -> dict[str, str]:
        return {state.name: state.state for state in self.tasks.list()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "agent")
    yield made
    for work in made.work.values():
        work.fails = None
        work.may_start.set()
        work.may_stop.set()
        work.stop()


def _in_thread(call, *arguments) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call(*arguments)
        except DeodarError as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, errors


def test_all_tasks_are_stopped_at_first(bench: Bench) -> None:
    assert bench.states() == dict.fromkeys([DETECTION, INTEGRATION, PREVENTION], "Stopped")
    assert [state.id for state in bench.tasks.list()] == [20, 24, 25]
    assert bench.told == []


def test_what_shall_run_is_started_in_order(bench: Bench) -> None:
    bench.tasks.start_wanted()
    assert bench.states() == {DETECTION: "Started", INTEGRATION: "Started", PREVENTION: "Stopped"}
    assert all(work.runs for work in bench.work.values())
    assert bench.told == [
        (DETECTION, "Starting", "Product"),
        (DETECTION, "Started", "Product"),
        (INTEGRATION, "Starting", "Product"),
        (INTEGRATION, "Started", "Product"),
    ]
    assert time.time() - bench.tasks.state("24").since < PATIENCE


def test_what_runs_is_stopped_the_last_one_first(bench: Bench) -> None:
    bench.tasks.start_wanted()
    bench.told.clear()
    bench.tasks.stop_all()
    assert [told[:2] for told in bench.told] == [
        (INTEGRATION, "Stopping"),
        (INTEGRATION, "Stopped"),
        (DETECTION, "Stopping"),
        (DETECTION, "Stopped"),
    ]
    assert not any(work.runs for work in bench.work.values())
    assert bench.tasks.is_wanted(INTEGRATION)


def test_a_started_task_is_not_started_again(bench: Bench) -> None:
    bench.tasks.start_wanted()
    with pytest.raises(WrongState, match="the task KATAEDR is already started") as caught:
        bench.tasks.start("kataedr")
    assert caught.value.exit_code == 70
    assert bench.work[INTEGRATION].starts == 1


def test_a_stopped_task_is_not_stopped_again(bench: Bench) -> None:
    with pytest.raises(WrongState, match="the task KATAEDR is already stopped") as caught:
        bench.tasks.stop("24")
    assert caught.value.exit_code == 70
    assert bench.told == []
    assert bench.tasks.is_wanted(INTEGRATION)


def test_an_unknown_task_is_told(bench: Bench) -> None:
    for call in (bench.tasks.start, bench.tasks.stop, bench.tasks.state, bench.tasks.is_wanted):
        with pytest.raises(UnknownTask, match="did you mean KATAEDR"):
            call("KATAED")


def test_integration_needs_detection(bench: Bench) -> None:
    with pytest.raises(NotStarted, match="the task Behavior_Detection, which it needs, is stopped"):
        bench.tasks.start(INTEGRATION)
    assert bench.states()[INTEGRATION] == "Stopped"
    assert bench.work[INTEGRATION].starts == 0


def test_stopping_detection_leaves_integration_started(bench: Bench) -> None:
    bench.tasks.start_wanted()
    assert bench.tasks.stop(DETECTION).state == "Stopped"
    assert bench.states()[INTEGRATION] == "Started"
    assert bench.told[-2:] == [(DETECTION, "Stopping", "User"), (DETECTION, "Stopped", "User")]


def test_prevention_is_not_part_of_this_release(bench: Bench) -> None:
    bench.tasks.start_wanted()
    with pytest.raises(NotStarted, match="not part of this release") as caught:
        bench.tasks.start(PREVENTION)
    assert caught.value.exit_code == 65
    assert not bench.tasks.is_wanted(PREVENTION)


def test_what_a_user_stopped_stays_stopped_over_a_restart(bench: Bench) -> None:
    bench.tasks.start_wanted()
    bench.tasks.stop(INTEGRATION)
    bench.tasks.stop_all()
    bench.tasks = bench.manager()
    bench.tasks.start_wanted()
    assert bench.states() == {DETECTION: "Started", INTEGRATION: "Stopped", PREVENTION: "Stopped"}
    bench.tasks.start(INTEGRATION)
    bench.tasks.stop_all()
    bench.tasks = bench.manager()
    bench.tasks.start_wanted()
    assert bench.states()[INTEGRATION] == "Started"


def test_a_task_that_cannot_start_says_why_and_is_tried_again(bench: Bench) -> None:
    bench.work[DETECTION].fails = DeodarError("no sensor works on this host")
    bench.tasks.start_wanted()
    assert bench.tasks.state(DETECTION).error == "no sensor works on this host"
    assert "Behavior_Detection, which it needs, is stopped" in bench.tasks.state(INTEGRATION).error
    told = len(bench.told)
    for _ in range(3):
        bench.tasks.retry()
    assert bench.work[DETECTION].starts == 4
    assert len(bench.told) == told  # the same reason is told once
    bench.work[DETECTION].fails = None
    bench.tasks.retry()
    assert bench.states()[INTEGRATION] == "Started"
    assert bench.tasks.state(DETECTION).error == ""
    assert [t[:2] for t in bench.told[told:]] == [
        (DETECTION, "Started"),
        (INTEGRATION, "Started"),
    ]


def test_another_reason_is_told(bench: Bench) -> None:
    for reason in ("no sensor", "no sensor", "no memory"):
        bench.work[DETECTION].fails = DeodarError(reason)
        bench.tasks.retry()
    assert [reason for reason in bench.reasons if reason.startswith("no ")] == [
        "no sensor",
        "no memory",
    ]


def test_a_start_that_fails_is_told_and_wanted_all_the_same(bench: Bench) -> None:
    bench.tasks.start_wanted()
    bench.tasks.stop(INTEGRATION)
    bench.work[INTEGRATION].fails = TaskError("no certificate")
    with pytest.raises(TaskError, match="no certificate"):
        bench.tasks.start(INTEGRATION)
    assert bench.tasks.state(INTEGRATION).error == "no certificate"
    assert bench.tasks.is_wanted(INTEGRATION)
    bench.tasks.stop(INTEGRATION)  # is tried no more
    assert bench.tasks.state(INTEGRATION).error == ""
    bench.work[INTEGRATION].fails = None
    bench.tasks.retry()
    assert bench.states()[INTEGRATION] == "Stopped"


def test_a_fault_of_the_program_leaves_a_task_stopped(bench: Bench) -> None:
    bench.work[DETECTION].fails = RuntimeError("oops")
    bench.tasks.start_wanted()
    assert bench.tasks.state(DETECTION).error == "RuntimeError: oops"
    with pytest.raises(RuntimeError):
        bench.tasks.start(DETECTION)
    assert bench.states()[DETECTION] == "Stopped"


def test_a_task_that_does_not_end_well_is_stopped(bench: Bench) -> None:
    bench.tasks.start_wanted()
    for work in bench.work.values():
        work.fails = DeodarError("stuck")
    with pytest.raises(DeodarError, match="stuck"):
        bench.tasks.stop(INTEGRATION)
    assert bench.tasks.state(INTEGRATION).error == "it did not end as it should"
    bench.tasks.stop_all()
    assert bench.states()[DETECTION] == "Stopped"


def test_starting_detection_again_starts_what_waits_for_it(bench: Bench) -> None:
    bench.tasks.start_wanted()
    bench.tasks.stop(DETECTION)
    bench.tasks.stop_all()
    bench.tasks = bench.manager()
    bench.tasks.start_wanted()
    assert bench.states() == dict.fromkeys([DETECTION, INTEGRATION, PREVENTION], "Stopped")
    bench.tasks.start(DETECTION)
    assert bench.states()[INTEGRATION] == "Started"
    assert bench.told[-1] == (INTEGRATION, "Started", "Product")


def test_states_are_seen_while_a_task_starts_and_stops(bench: Bench) -> None:
    work = bench.work[DETECTION]
    work.may_start.clear()
    thread, errors = _in_thread(bench.tasks.start, DETECTION)
    assert work.entered.wait(PATIENCE)
    assert bench.tasks.state(DETECTION).state == "Starting"
    bench.tasks.retry()  # returns at once
    work.may_start.set()
    thread.join(PATIENCE)
    assert bench.tasks.state(DETECTION).state == "Started"
    work.entered.clear()
    work.may_stop.clear()
    thread, errors = _in_thread(bench.tasks.stop, DETECTION)
    assert work.entered.wait(PATIENCE)
    assert bench.tasks.state(DETECTION).state == "Stopping"
    work.may_stop.set()
    thread.join(PATIENCE)
    assert errors == []
    assert bench.tasks.state(DETECTION).state == "Stopped"


def test_of_two_starts_at_once_one_is_refused(bench: Bench) -> None:
    work = bench.work[DETECTION]
    work.may_start.clear()
    first = _in_thread(bench.tasks.start, DETECTION)
    assert work.entered.wait(PATIENCE)
    second = _in_thread(bench.tasks.start, DETECTION)
    work.may_start.set()
    for thread, _ in (first, second):
        thread.join(PATIENCE)
    assert first[1] == []
    assert isinstance(second[1][0], WrongState)
    assert work.starts == 1


def test_many_starts_and_stops_at_once_come_one_after_another(bench: Bench) -> None:
    threads = [
        _in_thread(call, DETECTION)[0]
        for _ in range(20)
        for call in (bench.tasks.start, bench.tasks.stop)
    ]
    for thread in threads:
        thread.join(PATIENCE)
    order = [state for name, state, _ in bench.told if name == DETECTION]
    cycle = ["Starting", "Started", "Stopping", "Stopped"]
    assert order == [cycle[number % 4] for number in range(len(order))]
    assert bench.work[DETECTION].runs is (bench.states()[DETECTION] == "Started")


def test_nobody_waits_for_ever_for_a_start_that_hangs(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "agent", patience=0.2)
    work = bench.work[DETECTION]
    work.may_start.clear()
    thread, _ = _in_thread(bench.tasks.start, DETECTION)
    assert work.entered.wait(PATIENCE)
    with pytest.raises(WrongState, match="has to wait: Behavior_Detection is Starting") as caught:
        bench.tasks.stop(DETECTION)
    assert caught.value.exit_code == 70
    bench.tasks.stop_all()  # ends it all the same
    assert work.stops == 1
    work.may_start.set()
    thread.join(PATIENCE)
    bench.work[INTEGRATION].stop()  # it was waiting for the other
    work.stop()


def test_who_listens_cannot_hold_a_task_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "agent")

    def fail(_state: TaskState, _initiator: str) -> None:
        raise ValueError("not my day")

    tasks = TaskManager(bench.directory, bench.work, fail)
    tasks.start_wanted()
    assert tasks.state(INTEGRATION).state == "Started"
    tasks.stop_all()
    assert tasks.state(DETECTION).state == "Stopped"
