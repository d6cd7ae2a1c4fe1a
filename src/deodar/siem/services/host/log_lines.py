"""The last lines of a service's log, kept in memory so that the core can ask for them."""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import TYPE_CHECKING

from deodar.kit import logging as logs
from deodar.siem.services.wire import LINES_AT_ONCE, LONGEST_LINE, LogLine

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = 1_000
_ERRORS = frozenset(("error", "critical"))


class LogLines:
    """Listens to this process's log; may be called from any thread."""

    def __init__(self) -> None:
        self.errors = 0
        self._lines: deque[LogLine] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)

    def listen(self) -> Callable[[], None]:
        """Begin to listen; returns what ends that."""
        return logs.listen(self.add)

    def add(self, level: str, text: str) -> None:
        """Take one line."""
        if level in _ERRORS:
            self.errors += 1
        self._lines.append(LogLine(next(self._numbers), time.time(), level, text[:LONGEST_LINE]))

    def since(self, number: int) -> tuple[LogLine, ...]:
        """Return the lines from `number` on that are still here, as many as a report takes."""
        newer = [line for line in list(self._lines) if line.number >= number]
        return tuple(newer[:LINES_AT_ONCE])
