"""Opening files with a time limit: a network file system, or one in user space, may never answer.

Nothing in Linux bounds the time of open(2); so threads of their own do it, and one that hangs is
left behind. There are few; when all hang, no file is opened until one comes back.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.hashing.errors import OpenTimeout
from deodar.agent.hashing.facts import FileFacts, describe, identity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.sensors.base import FileIdentity

THREADS = 6
"""Three threads of the agent ask; so many may hang beside."""


class Opened(NamedTuple):
    """A file that was opened for reading; whoever has it closes the descriptor."""

    descriptor: int
    identity: FileIdentity
    """As it was asked for, else as it was found."""
    found: FileIdentity
    """As fstat tells it."""
    facts: FileFacts
    """What is known without reading all of it."""


class Opener:
    """Opens files for any thread."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._idle = 0

    def open(
        self, identity: FileIdentity | None, paths: Sequence[str], limit: float
    ) -> Opened | None:
        """Return the file that the first of `paths` opens which leads to `identity` (None: any).

        Returns None when none of them leads to it any more. Raises OpenTimeout after `limit`
        seconds, or when all threads hang.
        """
        task = _Task(identity, paths)
        self._give(task)
        if not task.done.wait(limit):
            with self._lock:
                if not task.done.is_set():
                    task.abandoned = True
                    raise OpenTimeout(f"{', '.join(paths)} could not be opened in {limit:.2f} s")
        return task.opened

    def close(self) -> None:
        """Let the threads end that do not hang."""
        for _ in range(self._threads):
            self._tasks.put(None)

    def _give(self, task: _Task) -> None:
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._threads < THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="open", daemon=True).start()
            else:
                raise OpenTimeout(f"{THREADS} files cannot be opened; no other is tried")
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            opened = open_first(task.identity, task.paths)
            with self._lock:
                self._idle += 1
                task.opened = opened
                task.done.set()
            if task.abandoned and opened is not None:
                os.close(opened.descriptor)


class _Task:
    """One request to open."""

    __slots__ = ("abandoned", "done", "identity", "opened", "paths")

    def __init__(self, identity: FileIdentity | None, paths: Sequence[str]) -> None:
        self.identity, self.paths = identity, paths
        self.opened: Opened | None = None
        self.done = threading.Event()
        self.abandoned = False


def open_first(identity: FileIdentity | None, paths: Sequence[str]) -> Opened | None:
    """Open the first path that leads to the file; for files that answer at once."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            continue
        opened = _look_at(descriptor, identity)
        if opened is not None:
            return opened
        os.close(descriptor)
    return None


def _look_at(descriptor: int, identity: FileIdentity | None) -> Opened | None:
    try:
        status = os.fstat(descriptor)
        found = identity_of(status)
        if not stat.S_ISREG(status.st_mode) or not _same(found, identity):
            return None
        facts = describe(descriptor, identity or found)
    except OSError:
        return None
    return Opened(descriptor, identity or found, found, facts)


def _same(found: FileIdentity, wanted: FileIdentity | None) -> bool:
    # Not the device: btrfs and overlayfs show another one to stat than the kernel has inside.
    return wanted is None or found[1:] == wanted[1:]
