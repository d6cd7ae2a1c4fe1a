"""What the agent has been told: kept on the disk before the server is told that it is known.

So a task is carried out once, also when an answer is lost or the agent is killed in between: one
that was begun and has no result is answered as failed, and is not begun again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from deodar.kit.errors import StateError
from deodar.kit.logging import logger
from deodar.response.wire import TaskOrder  # noqa: TC001  # msgspec reads it at run time

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory
    from deodar.response.wire import Orders

FILE = "tasking.json"
REMEMBERED = 1000
"""Ids of tasks that are known not to be new."""
MOST_WAITING = 100
_log = logger("agent.tasking")


class _Kept(msgspec.Struct):
    server_id: str = ""
    number: int = 0
    offset_us: int = 0
    """By how much the server's clock was ahead of this host's."""
    waiting: list[TaskOrder] = []
    begun: list[str] = []
    known: list[str] = []


class Book:
    """Tasks that wait, that were begun, and that are known. For several threads."""

    def __init__(self, directory: StateDirectory) -> None:
        """Read what was kept; a damaged file is told of and begun anew."""
        self._directory = directory
        self._lock = threading.Lock()
        kept = _read(directory)
        self._server_id = kept.server_id
        self._number = kept.number
        self._offset_us = kept.offset_us
        self._waiting = deque(kept.waiting)
        self._begun = list(kept.begun)
        self._known = deque(kept.known, REMEMBERED)

    @property
    def number(self) -> int:
        """The number up to which the server's changes are known."""
        return self._number

    @property
    def waiting(self) -> int:
        """How many tasks wait."""
        return len(self._waiting)

    def is_of(self, server_id: str) -> bool:
        """Whether the number is one of this server."""
        return self._number == 0 or self._server_id == server_id

    def forget_number(self, server_id: str) -> None:
        """Begin anew with another server; what was begun is remembered all the same."""
        with self._lock:
            self._server_id, self._number = server_id, 0

    def take(self, orders: Orders) -> list[TaskOrder]:
        """Remember orders; returns the tasks for which there is no room.

        Raises StateError when the disk takes nothing: then nothing was taken.
        """
        with self._lock:
            known = set(self._known)
            new = [task for task in orders.tasks if task.id not in known]
            room = MOST_WAITING - len(self._waiting)
            self._server_id, before = orders.server_id, self._number
            self._offset_us = orders.time_us - time.time_ns() // 1000
            self._number = orders.number
            self._waiting.extend(new[:room])
            old_known = list(self._known)
            self._known.extend(task.id for task in new)
            try:
                self._save()
            except StateError:
                self._number = before
                for _ in new[:room]:
                    self._waiting.pop()
                self._known = deque(old_known, REMEMBERED)
                raise
            return new[room:]

    def begin(self) -> TaskOrder | None:
        """Return the next task that waits, and note that it was begun; None if none waits."""
        with self._lock:
            if not self._waiting:
                return None
            task = self._waiting.popleft()
            self._begun.append(task.id)
            self._save()
            return task

    def end(self, task_id: str) -> None:
        """Note that a task has its result in the outbox."""
        with self._lock:
            if task_id in self._begun:
                self._begun.remove(task_id)
                self._save()

    def left_over(self) -> list[str]:
        """Return the tasks that were begun by an agent that is gone."""
        with self._lock:
            return list(self._begun)

    def is_late(self, task: TaskOrder) -> bool:
        """Whether a task's time to be begun is over, by the server's clock."""
        return time.time_ns() // 1000 + self._offset_us > task.expires_us

    def _save(self) -> None:
        kept = _Kept(
            self._server_id,
            self._number,
            self._offset_us,
            list(self._waiting),
            self._begun,
            list(self._known),
        )
        self._directory.write_secret(FILE, msgspec.json.encode(kept))


def _read(directory: StateDirectory) -> _Kept:
    if not directory.has(FILE):
        return _Kept()
    try:
        return msgspec.json.decode(directory.read(FILE), type=_Kept)
    except (msgspec.DecodeError, UnicodeDecodeError, StateError) as error:
        _log.warning("the file of tasks is damaged and begun anew", error=str(error))
        return _Kept()
