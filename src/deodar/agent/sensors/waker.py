"""A way to end another thread's wait at once, so that waits may be long: an idle agent sleeps."""

from __future__ import annotations

import os
import threading
from contextlib import suppress


class Waker:
    """A descriptor that a wait listens to beside its own. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Return the descriptor, which is readable when the wait shall end; -1 when closed."""
        return self._descriptor

    def set(self) -> None:
        """End the wait of today, or else the next one."""
        with self._lock:
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Let the next wait last."""
        with self._lock, suppress(BlockingIOError):  # it was not set
            if self._descriptor >= 0:
                os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Give the descriptor back; the methods do nothing from now on."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
