"""A thread that works off jobs in the order of their urgency, with a bounded queue before it."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import TYPE_CHECKING

from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.hashing.job import Job

IDLE = 60.0
_log = logger("agent.hashing")


class Lane:
    """Jobs for one thread, which begins with the first of them."""

    def __init__(
        self,
        name: str,
        work: Callable[[Job], None],
        failed: Callable[[Job], None],
        *,
        room: int,
        urgent: int = 0,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        """`room` jobs may wait, and `urgent` ones more that are urgent.

        A job whose work raises an error is given to `failed`, unless it has ended already. `idle`
        is called when there was no job for IDLE seconds.
        """
        self._name, self._work, self._failed, self._room = name, work, failed, room
        self._queue: queue.PriorityQueue[tuple[int, int, Job | None]]
        self._queue = queue.PriorityQueue(room + urgent)
        self._idle = idle
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return self._queue.qsize()

    def put(self, job: Job) -> bool:
        """Take a job; returns False when there is no room for one of its urgency."""
        if self._closed or (not job.urgent and self._queue.qsize() >= self._room):
            return False
        self._start()
        try:
            self._queue.put_nowait((0 if job.urgent else 1, next(self._numbers), job))
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Take no more, and end after the job at hand. What waits is left undone."""
        self._closed = True
        while True:
            try:
                waiting = self._queue.get_nowait()[2]
            except queue.Empty:
                break
            if waiting is not None:
                waiting.close()
        if self._thread is not None:
            self._queue.put((-1, next(self._numbers), None))

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _next(self) -> Job | None:
        while True:
            try:
                return self._queue.get(timeout=IDLE)[2]
            except queue.Empty:
                self._idle()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._work(job)
            except Exception as error:  # noqa: BLE001 - one odd file must not stop the rest
                _log.exception("a file could not be hashed", error=str(error)[:200])
                if not job.ended.is_set():
                    self._failed(job)
