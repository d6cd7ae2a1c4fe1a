"""The thread that carries tasks out, one after another, and sends what came of them.

It is started with the first order that there is, so that an agent without orders has no such
thread. While answers cannot be sent they wait in the outbox, and no new task is begun once many do.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec

from deodar import __version__
from deodar.agent.answers import NoAnswer, said
from deodar.agent.tasking.executors.base import Context, TaskFailed, now_us
from deodar.agent.threads import WatchedThread
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger
from deodar.response import kinds
from deodar.response.errors import OrderProblem
from deodar.response.wire import RESULTS, STATES, Applied, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from deodar.agent.answers import Answer
    from deodar.agent.tasking.book import Book
    from deodar.agent.tasking.executors.base import Executor, Sender
    from deodar.agent.tasking.outbox import Outbox
    from deodar.response.wire import StateOrder, TaskOrder

ENOUGH_WAITING = 100
"""Answers in the outbox with which no new task is begun."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
TAKEN = (200, 400, 404, 409, 413)
"""Statuses after which an answer is not sent again: the server has it, or never will."""
_log = logger("agent.tasking")


class Worker:
    """Carries out what the book has, and empties the outbox."""

    def __init__(
        self,
        book: Book,
        outbox: Outbox,
        ask: Sender,
        notify: Callable[[str, dict[str, str]], None],
        executors: Callable[[], dict[str, Executor]],
        rest: Callable[[], None] = lambda: None,
        allowed: Collection[str] | None = None,
    ) -> None:
        """`ask` posts to the server; raises NoAnswer. `notify` tells the host's administrator.

        `rest` is called each time that there is nothing more to do. Of the kinds of tasks only
        those that are `allowed` are carried out; None: all.
        """
        self._book = book
        self._outbox = outbox
        self._ask = ask
        self._notify = notify
        self._executors = executors
        self._rest = rest
        self._allowed = allowed
        self._stop = threading.Event()
        self._call = threading.Event()
        self._pause = 0.0
        self._next_try = 0.0
        self._lock = threading.Lock()
        self._thread: WatchedThread | None = None

    @property
    def failure(self) -> str:
        """Why the thread has come to a halt; "" while it works."""
        return self._thread.failure if self._thread is not None else ""

    def wake(self) -> None:
        """Look for work now; starts the thread when there is some and none runs. Any thread."""
        with self._lock:
            self._call.set()
            if self._thread is None and self._has_work() and not self._stop.is_set():
                self._thread = WatchedThread("tasks", self._run)
                self._thread.start()

    def answer_state(self, order: StateOrder) -> None:
        """Answer a desired state: none is supported as yet."""
        reason = f"{order.kind} is not supported by this agent version ({__version__})"
        told = Applied(order.kind, order.number, "unsupported", reason, order.target)
        self._outbox.put(f"state-{_plain(order.kind)}-{order.target}", STATES, told)

    def answer(self, task_id: str, kind: str, result: Result) -> None:
        """Keep a task's result for the server, and tell the host's administrator."""
        self._outbox.put(f"task-{task_id}", f"{RESULTS}{task_id}", result)
        self._book.end(task_id)
        self._tell(task_id, kind, result)

    def _give_back(self) -> None:
        """Answer what an agent before this one had begun and not ended."""
        for task_id in self._book.left_over():
            result = Result("failed", "the agent ended while the task ran", ended_us=now_us())
            self.answer(task_id, "", result)

    def stop(self, seconds: float) -> None:
        """End the task that is carried out, and the thread."""
        self._stop.set()
        self._call.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _has_work(self) -> bool:
        return self._book.waiting > 0 or len(self._outbox) > 0 or bool(self._book.left_over())

    def _run(self) -> None:
        self._give_back()
        while not self._stop.is_set():
            self._call.clear()
            due = time.monotonic() >= self._next_try
            if due and self._send_first():
                continue
            if len(self._outbox) < ENOUGH_WAITING and self._begin():
                continue
            self._rest()
            left = self._next_try - time.monotonic()
            self._call.wait(max(0.05, left) if len(self._outbox) else None)

    def _begin(self) -> bool:
        """Carry the next task out; returns whether there was one."""
        task = self._book.begin()
        if task is None:
            return False
        self._tell(task.id, task.kind, Result("running"))
        result = self._carry_out(task)
        if result is not None:
            self.answer(task.id, task.kind, result)
        return True

    def _carry_out(self, task: TaskOrder) -> Result | None:
        executor = self._executors().get(task.kind)
        if executor is None:
            reason = f"{task.kind} is not supported by this agent version ({__version__})"
            return Result("failed", reason, supported=False, ended_us=now_us())
        if self._allowed is not None and task.kind not in self._allowed:
            reason = f"{task.kind} is not allowed on this host (orders.allowed in its agent.toml)"
            return Result("failed", reason, supported=False, ended_us=now_us())
        if self._book.is_late(task):
            return Result("failed", "its time was over before it could be begun", ended_us=now_us())
        began = now_us()
        try:
            parameters = kinds.check(task.kind, task.parameters)
            self._say_running(task, began)
            return executor(parameters, Context(task.id, self._stop, self._ask))
        except (TaskFailed, OrderProblem) as error:
            return Result("failed", str(error)[:4096], started_us=began, ended_us=now_us())
        except Exception as error:  # noqa: BLE001 - whatever it was, the server has to know
            _log.exception("a task failed", task=task.id, kind=task.kind)
            reason = f"a fault of the agent: {type(error).__name__}: {error}"[:4096]
            return Result("failed", reason, started_us=began, ended_us=now_us())

    def _say_running(self, task: TaskOrder, began: int) -> None:
        """Tell the server that a task was begun, if it can be told at once."""
        if len(self._outbox):
            return
        try:
            self._post(f"{RESULTS}{task.id}", Result("running", started_us=began))
        except NoAnswer as error:
            _log.info("the begin of a task could not be told", task=task.id, error=str(error))

    def _send_first(self) -> bool:
        """Send the oldest answer; returns whether one was taken."""
        first = self._outbox.first()
        if first is None:
            return False
        name, letter = first
        try:
            answer = self._ask(letter.path, bytes(letter.body), _JSON)
        except NoAnswer as error:
            return self._failed(str(error))
        if answer.status not in TAKEN:
            return self._failed(f"HTTP {answer.status}{said(answer)}")
        if answer.status != 200:
            _log.warning("the server does not take an answer", file=name, status=answer.status)
        self._outbox.drop(name)
        self._pause = self._next_try = 0.0
        return True

    def _failed(self, problem: str) -> bool:
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or FIRST_PAUSE)
        self._next_try = time.monotonic() + self._pause
        _log.info("an answer could not be sent", error=problem, again_in=self._pause)
        return False

    def _post(self, path: str, body: object) -> Answer:
        return self._ask(path, msgspec.json.encode(body), _JSON)

    def _tell(self, task_id: str, kind: str, result: Result) -> None:
        details = {"Task": task_id, "TaskKind": kind, "State": result.state}
        if result.reason:
            details["Reason"] = result.reason
        try:
            self._notify("ServerTask", details)
        except DeodarError as error:
            _log.warning("a task could not be told", error=str(error))


_JSON = {"Content-Type": "application/json"}


def _plain(kind: str) -> str:
    return "".join(sign if sign.isalnum() or sign == "_" else "_" for sign in kind[:32])
