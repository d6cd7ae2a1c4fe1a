"""Starts and stops the tasks of this agent, with the states of KESL.

A task is Stopped, Starting, Started or Stopping. One start or stop is done at a time; what the
states are can be asked meanwhile. What an administrator started or stopped stays so over a restart
of the agent.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from deodar.agent.tasks.wanted import WantedTasks
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger
from deodar.tasks.declarations import TASKS, Task, find
from deodar.tasks.errors import NotStarted, WrongState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from deodar.kit.directory import StateDirectory

STOPPED, STARTING, STARTED, STOPPING = "Stopped", "Starting", "Started", "Stopping"
PATIENCE = 30.0
"""Seconds that a start or stop waits for another one to end."""

_log = logger("agent.tasks")


class Runner(Protocol):
    """What a task does; its methods return when it runs, and when it runs no more."""

    def start(self) -> None:
        """Begin. Raises DeodarError when that is not possible now."""

    def stop(self) -> None:
        """End."""


class TaskState(msgspec.Struct, frozen=True, kw_only=True):
    """How a task is. `since` is in seconds since the epoch; `error` says why it does not run."""

    id: int
    name: str
    type: str
    state: str
    error: str = ""
    since: float = 0.0


class TaskManager:
    """The tasks of one agent. For any thread."""

    def __init__(
        self,
        directory: StateDirectory,
        runners: Mapping[str, Runner],
        on_state: Callable[[TaskState, str], None],
        *,
        patience: float = PATIENCE,
    ) -> None:
        """`on_state` hears of each new state and who caused it; it must not start or stop tasks."""
        self._runners = runners
        self._on_state = on_state
        self._patience = patience
        self._wanted = WantedTasks(directory)
        self._one_at_a_time = threading.Lock()
        now = time.time()
        self._states = {
            task.name: TaskState(
                id=task.id, name=task.name, type=task.type, state=STOPPED, since=now
            )
            for task in TASKS
        }

    def list(self) -> list[TaskState]:
        """Return how every task is."""
        return [self._states[task.name] for task in TASKS]

    def state(self, name: str) -> TaskState:
        """Return how a task is, by number or name. Raises UnknownTask."""
        return self._states[find(name).name]

    def is_wanted(self, name: str) -> bool:
        """Whether the task shall run, even when it cannot now. Raises UnknownTask."""
        return self._wanted.has(find(name).name)

    def start(self, name: str, initiator: str = "User") -> TaskState:
        """Start a task, and again after each start of the agent.

        Raises UnknownTask, WrongState, NotStarted, or what the runner raises; a task that cannot
        run yet is then tried again (`retry`).
        """
        task = find(name)
        with self._alone(task):
            self._refuse_start(task)
            self._wanted.put(task.name, True)
            self._start(task, initiator)
            self._try_all(other for other in TASKS if task.name in other.requires)
            return self._states[task.name]

    def stop(self, name: str, initiator: str = "User") -> TaskState:
        """Stop a task until it is started again. Raises UnknownTask or WrongState."""
        task = find(name)
        with self._alone(task):
            waits = self._waits(task)
            if self._states[task.name].state == STOPPED and not waits:
                raise WrongState(f"the task {task.name} is already stopped")
            self._wanted.put(task.name, False)
            if waits:
                self._set(task, STOPPED, initiator)
            else:
                self._stop(task, initiator)
            return self._states[task.name]

    def start_wanted(self) -> None:
        """Start what shall run, as the agent starts; what cannot says why in its state."""
        self.retry()

    def retry(self) -> None:
        """Try to start what shall run and does not; nothing while another start or stop goes on."""
        if not self._one_at_a_time.acquire(blocking=False):
            return
        try:
            self._try_all(TASKS)
        finally:
            self._one_at_a_time.release()

    def stop_all(self) -> None:
        """Stop every task as the agent ends, the last one first; they shall run next time."""
        alone = self._one_at_a_time.acquire(timeout=self._patience)
        try:
            for task in reversed(TASKS):
                if self._states[task.name].state in {STARTED, STARTING}:
                    self._stop_anyway(task)
        finally:
            if alone:
                self._one_at_a_time.release()

    @contextmanager
    def _alone(self, task: Task) -> Iterator[None]:
        if not self._one_at_a_time.acquire(timeout=self._patience):
            busy = ", ".join(f"{s.name} is {s.state}" for s in self.list() if s.state in _MOVING)
            raise WrongState(f"the task {task.name} has to wait: {busy or 'tasks are changing'}")
        try:
            yield
        finally:
            self._one_at_a_time.release()

    def _refuse_start(self, task: Task) -> None:
        if task.name not in self._runners:
            raise NotStarted(f"the task {task.name} cannot be started: {task.title}")
        if self._states[task.name].state != STOPPED:
            raise WrongState(f"the task {task.name} is already started")
        if missing := self._missing(task):
            raise NotStarted(f"the task {task.name} cannot be started: {missing}")

    def _missing(self, task: Task) -> str:
        """Return which task has to be started first, or ""."""
        for name in task.requires:
            if self._states[name].state != STARTED:
                return f"the task {name}, which it needs, is stopped; start that first"
        return ""

    def _waits(self, task: Task) -> bool:
        """Whether a stopped task shall run and is tried again."""
        state = self._states[task.name]
        return state.state == STOPPED and bool(state.error) and self._wanted.has(task.name)

    def _try_all(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            wanted = self._wanted.has(task.name) and task.name in self._runners
            if wanted and self._states[task.name].state == STOPPED:
                self._try(task)

    def _try(self, task: Task) -> None:
        """Start a task, or note why it does not start; a reason that stays is told once."""
        before = self._states[task.name].error
        if missing := self._missing(task):
            self._set(task, STOPPED, "Product", missing, quiet=missing == before)
            return
        try:
            self._start(task, "Product", before)
        except Exception as error:  # noqa: BLE001 - the task's state says it; the others go on
            _log.warning("a task does not start", task=task.name, error=_told(error))

    def _start(self, task: Task, initiator: str, before: str = "") -> None:
        """Start a task; `before` is why it did not start the last time."""
        self._set(task, STARTING, initiator, quiet=bool(before))
        try:
            self._runners[task.name].start()
        except BaseException as error:
            reason = _told(error)
            self._set(task, STOPPED, initiator, reason, quiet=reason == before)
            raise
        self._set(task, STARTED, initiator)

    def _stop(self, task: Task, initiator: str) -> None:
        self._set(task, STOPPING, initiator)
        reason = "it did not end as it should"
        try:
            self._runners[task.name].stop()
            reason = ""
        finally:
            self._set(task, STOPPED, initiator, reason)

    def _stop_anyway(self, task: Task) -> None:
        try:
            self._stop(task, "Product")
        except Exception as error:  # noqa: BLE001 - the agent ends, and the other tasks with it
            _log.warning("a task did not end as it should", task=task.name, error=_told(error))

    def _set(
        self, task: Task, state: str, initiator: str, error: str = "", *, quiet: bool = False
    ) -> None:
        told = TaskState(
            id=task.id, name=task.name, type=task.type, state=state, error=error, since=time.time()
        )
        self._states = {**self._states, task.name: told}
        if quiet:
            return
        try:
            self._on_state(told, initiator)
        except Exception as problem:  # noqa: BLE001 - who listens must not hold a task up
            _log.warning("a task's state was not told", task=task.name, error=_told(problem))


_MOVING = {STARTING, STOPPING}


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, DeodarError) else f"{type(error).__name__}: {error}"
