"""The thread that waits for orders: one request after another, each answered when there is one.

It uses the server that the uplink uses, over a connection of its own, so that packets never wait
for it. While nothing is ordered the cost is one request in two minutes.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deodar.agent.answers import NoAnswer, decode, said
from deodar.agent.connection import Ways
from deodar.agent.tasking.book import Book
from deodar.agent.tasking.outbox import Outbox
from deodar.agent.tasking.worker import Worker
from deodar.agent.threads import WatchedThread
from deodar.kit.errors import StateError
from deodar.kit.logging import logger
from deodar.response.wire import LARGEST_ORDERS, TASKING, Orders, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from deodar.agent.answers import Answer
    from deodar.agent.connection import ConnectionSettings
    from deodar.agent.tasking.executors.base import Executor
    from deodar.kit.directory import StateDirectory

WAIT = 120.0
"""Seconds that a request may wait at the server."""
SHORTEST_ROUND = 1.0
"""Seconds between two requests at least, when neither brought anything."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
UNKNOWN_THERE = 300.0
"""Seconds after which a server that knows no tasking is asked again."""
REFUSED_FOR = 60.0
STOP = 2.0
NO_TASKING = (404, 405, 501)
_log = logger("agent.tasking")


def _executors() -> dict[str, Executor]:
    # Loaded with the first task: an agent without orders has no use for what runs programs.
    from deodar.agent.tasking.executors.registry import EXECUTORS  # noqa: PLC0415

    return EXECUTORS


class TaskingDriver:
    """Waits for orders until it is stopped."""

    def __init__(
        self,
        directory: StateDirectory,
        *,
        index: Callable[[], int],
        notify: Callable[[str, dict[str, Any]], None],
        allowed: Collection[str] | None = None,
        executors: Callable[[], dict[str, Executor]] = _executors,
        wait: float = WAIT,
    ) -> None:
        """`index` tells which of the servers is in use, `allowed` what it may order; None: all."""
        self.problem = ""
        """Why orders cannot be had now, for people; "" while all is well."""
        self._index = index
        self._patience = wait
        self._book = Book(directory)
        self._outbox = Outbox(directory.path)
        self._worker = Worker(
            self._book, self._outbox, self._post, notify, executors, self._rest, allowed
        )
        self._lock = threading.Lock()
        self._settings: ConnectionSettings | None = None
        self._is_new = False
        self._ways, self._answers = Ways(), Ways()
        self._stop = threading.Event()
        self._attention = threading.Event()
        self._failures = 0
        self._came = False
        """Whether the last answer brought something."""
        self._answering: ConnectionSettings | None = None
        self._thread = WatchedThread("tasking", self._run)

    @property
    def failure(self) -> str:
        """Why a thread has come to a halt; "" while they work."""
        return self._thread.failure or self._worker.failure

    def configure(self, settings: ConnectionSettings) -> None:
        """Use these settings from the next request on."""
        with self._lock:
            self._settings, self._is_new = settings, True
        self._attention.set()
        self._ways.abort()  # a request that waits was made with the old ones

    def start(self) -> None:
        """Begin to wait for orders, and to send what was left over."""
        self._thread.start()
        self._worker.wake()

    def stop(self) -> None:
        """Wait no more; a task that is carried out is ended."""
        self._stop.set()
        self._attention.set()
        self._ways.abort()
        self._worker.stop(STOP)
        self._answers.abort()
        self._worker.stop(STOP)
        self._thread.join(STOP)

    # The thread that waits

    def _run(self) -> None:
        while not self._stop.is_set():
            self._attention.clear()
            settings = self._renew()
            if settings is None or settings.context is None or not settings.servers:
                self._attention.wait()
                continue
            began = time.monotonic()
            pause = self._poll()
            if pause is None:  # something came, or the server waited as it was asked to
                pause = SHORTEST_ROUND - (time.monotonic() - began) if not self._came else 0.0
            if pause > 0:
                self._attention.wait(pause)
        self._ways.close()

    def _renew(self) -> ConnectionSettings | None:
        with self._lock:
            settings, is_new = self._settings, self._is_new
            self._is_new = False
        if settings is not None and is_new:
            limit = self._patience + settings.request_timeout
            self._ways.configure(replace(settings, request_timeout=limit))
            self._failures = 0
        return settings

    def _poll(self) -> float | None:
        """Ask once; returns the seconds to leave the server alone, None when all went well."""
        self._came = False
        path = f"{TASKING}?since={self._book.number}&wait={self._patience:g}"
        try:
            answer = self._ways.to(self._index()).ask("GET", path, largest=LARGEST_ORDERS)
        except (NoAnswer, IndexError) as error:
            return self._failed(str(error))
        if answer.status != 200:
            return self._refused(answer)
        orders = decode(answer.body, Orders)
        if isinstance(orders, str):
            return self._failed(f"the orders cannot be understood ({orders})")
        if not self._book.is_of(orders.server_id):
            self._book.forget_number(orders.server_id)
            self._came = True
            return None
        try:
            self._take(orders)
        except StateError as error:
            return self._failed(str(error))
        self._failures, self.problem = 0, ""
        return None

    def _take(self, orders: Orders) -> None:
        self._came = bool(orders.tasks or orders.states)
        if not self._came and orders.number == self._book.number:
            return
        for order in orders.states:
            self._worker.answer_state(order)
        for task in self._book.take(orders):
            reason = "too many tasks wait on this agent"
            self._worker.answer(task.id, task.kind, Result("failed", reason))
        if self._came:
            _log.info("orders", tasks=len(orders.tasks), states=len(orders.states))
            self._worker.wake()

    def _refused(self, answer: Answer) -> float:
        self._failed(f"HTTP {answer.status}{said(answer)}")
        if answer.status in NO_TASKING:
            return UNKNOWN_THERE
        if answer.status in (401, 403):
            return REFUSED_FOR * (1 + random.random() / 5)  # noqa: S311
        if answer.retry_after is not None:
            return max(self._backoff(), min(answer.retry_after, 300.0))
        return self._backoff()

    def _failed(self, problem: str) -> float:
        if self._stop.is_set():
            return 0.0
        if problem != self.problem:
            _log.info("no orders can be had", problem=problem)
        self.problem = problem
        self._failures += 1
        return self._backoff()

    def _backoff(self) -> float:
        """Return how long to wait now: a random part, so that agents do not come all at once."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 16))
        return longest * (0.5 + random.random() / 2)  # noqa: S311

    # For the worker's thread

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Post an answer over the worker's own connection; raises NoAnswer."""
        with self._lock:
            settings = self._settings
        if settings is None or settings.context is None or not settings.servers:
            raise NoAnswer("there is no server to send it to")
        if settings is not self._answering:
            self._answers.configure(settings)
            self._answering = settings
        way = self._answers.to(min(self._index(), len(settings.servers) - 1))
        return way.ask("POST", path, body, headers)

    def _rest(self) -> None:
        """Keep no connection open while there is nothing to answer."""
        self._answers.close()
