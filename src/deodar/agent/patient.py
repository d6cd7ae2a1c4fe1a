"""Calls what may hang, with a time limit: a file system in user space, say, may never answer.

Nothing in Linux bounds the time of a system call on a file; so threads of their own make it, and
one that hangs is left behind. There are few: when all hang, nothing is tried until one comes back.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Patient:
    """Makes calls for any thread, `threads` at once."""

    def __init__(self, name: str, threads: int) -> None:
        self._name, self._limit = name, threads
        self._tasks: queue.SimpleQueue[_Task[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._idle = 0

    def call(self, function: Callable[[], T], seconds: float, undo: Callable[[T], object]) -> T:
        """Return what `function` returns, or raise what it raises, within `seconds`.

        Raises TimeoutError when it takes longer, or when all threads hang; then `undo` gets what
        it returns in the end, if it ever does.
        """
        task = _Task(function, undo)
        self._give(task)
        if not task.done.wait(seconds):
            with self._lock:
                if not task.done.is_set():
                    task.abandoned = True
                    raise TimeoutError(f"no answer within {seconds:g} s")
        if task.error is not None:
            raise task.error
        return cast("T", task.result)

    def close(self) -> None:
        """Let the threads end that do not hang."""
        for _ in range(self._threads):
            self._tasks.put(None)

    def _give(self, task: _Task[Any]) -> None:
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            else:
                raise TimeoutError(f"{self._limit} calls do not answer; no other is tried")
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task.result = task.function()
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                task.error = error
            with self._lock:
                self._idle += 1
                task.done.set()
            if task.abandoned and task.error is None:
                task.undo(task.result)


class _Task(Generic[T]):
    """One call."""

    __slots__ = ("abandoned", "done", "error", "function", "result", "undo")

    def __init__(self, function: Callable[[], T], undo: Callable[[T], object]) -> None:
        self.function, self.undo = function, undo
        self.result: T | None = None
        self.error: Exception | None = None
        self.done = threading.Event()
        self.abandoned = False
