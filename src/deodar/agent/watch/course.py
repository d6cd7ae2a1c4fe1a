"""The course of one survey: when it looks, whether it believes what it sees, what came of it.

No clock and no files of its own: the watcher gives the time, the survey reads.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.watch.files import Files
    from deodar.agent.watch.records import StateChange
    from deodar.agent.watch.survey import Survey

QUIET = 0.2
"""Seconds without a further change after which a survey looks."""
LONGEST = 1.0
"""Seconds after which it looks although the changes go on."""
AGAIN = 0.2
"""Seconds until the next look at something doubtful."""
PATIENCE = 5.0
"""Seconds that a file may look half written; then it is taken as it is."""
SECOND_LOOK = 5.0
"""Seconds for which great differences are looked at again."""
NEVER = float("inf")


@dataclass(frozen=True)
class Found:
    """What came of a look."""

    changes: Sequence[StateChange] = ()
    problems: tuple[str, ...] = ()
    since_ns: int = 0
    """When the first sign of the changes came, in ns since the epoch."""


class Course:
    """One survey and what it saw last. For one thread."""

    def __init__(self, survey: Survey, items: dict[str, Any] | None) -> None:
        """`items` is what it saw at the end of the last run; None when there was none."""
        self.survey = survey
        self.items = items
        self.is_saved = items is not None
        self.due = NEVER
        """When to look, by the monotonic clock."""
        self._first = NEVER
        self._since_ns = 0
        self._is_new = True

    def touch(self, now: float, quiet: float = QUIET) -> None:
        """Note a sign that something changed; look when it has been quiet for so many seconds."""
        if self._first == NEVER:
            self._first, self._since_ns = now, time.time_ns()
        self.due = min(now + quiet, max(self._first + LONGEST, now))

    def look(self, files: Files, now: float) -> Found:
        """Look, and return what is different; nothing while that is in doubt."""
        before = self.items or {}
        look = self.survey.look(files, before)
        if self._is_in_doubt(bool(look.doubts), before, look.items, now):
            self.due = now + AGAIN
            return Found(problems=look.problems)
        is_first_ever = self.items is None
        changes = [] if is_first_ever else [*self.survey.changes(before, look.items)]
        for change in changes:
            change.meanwhile = self._is_new
        self.is_saved = self.is_saved and look.items == before
        self.items, self._is_new = look.items, False
        since_ns, self._first, self.due = self._since_ns, NEVER, NEVER
        return Found(changes, look.problems, since_ns)

    def _is_in_doubt(
        self, is_unsound: bool, before: dict[str, Any], after: dict[str, Any], now: float
    ) -> bool:
        waited = now - min(self._first, now)
        if is_unsound:
            return waited < PATIENCE
        return waited < SECOND_LOOK and self.survey.is_doubtful(before, after)
