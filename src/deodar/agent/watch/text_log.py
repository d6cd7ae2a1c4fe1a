"""Lines of the log of authentications that a syslog daemon writes, where there is no journal.

Anybody can write there under any program's name, so what it says is worth less than the journal.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

from deodar.agent.watch.appended import Appended
from deodar.agent.watch.log_lines import LONGEST, LogLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = ("var/log/auth.log", "var/log/secure")
"""Debian's and Red Hat's name of it."""
_LINE = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[-+][\d:]+))) "
    r"\S+ (?P<program>[^\s\[:]+)(?:\[(?P<pid>\d+)\])?: ?(?P<message>.*)"
)


class TextLog:
    """The log below a root folder. Used by one thread."""

    name = "log"

    def __init__(self, root: Path, *, knows_pids: bool) -> None:
        """`knows_pids` tells whether process ids of the log are those of this agent."""
        self._knows_pids = knows_pids
        self._files = [Appended(root / name) for name in FILES]

    def exists(self) -> bool:
        """Whether there is such a log."""
        return any(file.path.exists() for file in self._files)

    def read(self) -> Iterator[LogLine]:
        """Yield the lines that are new; the first time, begins at the end and yields nothing."""
        for file in self._files:
            content = file.read()
            whole, end, rest = content.rpartition(b"\n")
            if len(rest) <= LONGEST:  # a longer one is no line of a log, and would grow for ever
                file.give_back(len(rest))
            for raw in whole.split(b"\n") if end else ():
                line = self._line(raw[:LONGEST].decode("utf-8", "backslashreplace"))
                if line is not None:
                    yield line

    def close(self) -> None:
        """Nothing is kept open."""

    def _line(self, text: str) -> LogLine | None:
        found = _LINE.match(text)
        if found is None:
            return None
        pid = int(found["pid"]) if found["pid"] and self._knows_pids else 0
        return LogLine(_time(found["time"]), found["program"], pid, found["message"], self.name)


def _time(text: str | None) -> int:
    """Return the time of a line in ns; now for the old form, which knows neither year nor zone."""
    if text is not None:
        try:
            return int(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1000
        except (ValueError, OverflowError):
            pass
    return time.time_ns()
