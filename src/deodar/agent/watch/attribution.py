"""Changes that wait to be put down to a process: the sensor's record of it may come later.

What is found of a file says that it changed, not who did it. The one who wrote the file last did.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deodar.agent.watch.course import Found
    from deodar.agent.watch.doers import Doer, Doers
    from deodar.agent.watch.files import Files
    from deodar.agent.watch.records import StateChange

DOER_WITHIN = 3.0
"""Seconds that a change waits for the sensor's record of who did it."""
JUST_NOW_NS = 500_000_000
"""A record that is at most so much older than the first sign is of this change."""
OF_LATE_NS = 10_000_000_000
"""One that is older may be: a file that stays open is told at its first write only."""
AT_ONCE = 2000
"""Changes that are handed on at once, and pause before the next ones, in seconds."""
PAUSE = 0.1
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class _Pending:
    """A change that waits for its doer."""

    change: StateChange
    since_ns: int
    until: float
    related: Mapping[str, tuple[str, ...]]


class Attribution:
    """What waits, in the order in which it was found. For one thread."""

    def __init__(self, doers: Doers, files: Files) -> None:
        self._doers = doers
        self._files = files
        self._pending: list[_Pending] = []
        self._found: dict[tuple[str, int], tuple[Doer, ...]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, found: Found, related: Mapping[str, tuple[str, ...]], now: float) -> None:
        """Let the changes of a look wait; `related` are files that are written together."""
        for change in found.changes:
            until = now if change.meanwhile else now + DOER_WITHIN
            self._pending.append(_Pending(change, found.since_ns, until, related))

    def due(self, now: float) -> float:
        """Return when to take the next ones, by the monotonic clock."""
        return max(self._pending[0].until, now + PAUSE) if self._pending else NEVER

    def take(self, now: float, *, last: bool = False) -> list[StateChange]:
        """Return the changes whose doer is known, or will not be; all at the `last`."""
        self._found = {}
        ready: list[StateChange] = []
        waiting: list[_Pending] = []
        for pending in self._pending:
            has_room = last or len(ready) < AT_ONCE
            if has_room and self._is_settled(pending, is_due=last or now >= pending.until):
                ready.append(pending.change)
            else:
                waiting.append(pending)
        self._pending = waiting
        return ready

    def _is_settled(self, pending: _Pending, *, is_due: bool) -> bool:
        """Set time and process of a change; returns whether it needs to wait no longer."""
        change = pending.change
        change.time_ns = pending.since_ns or time.time_ns()
        if change.meanwhile:
            return True
        doer = self._doer(pending, JUST_NOW_NS)
        if doer is None and is_due:
            doer = self._doer(pending, OF_LATE_NS)
        if doer is not None:
            change.key, change.time_ns = doer.key, doer.time_ns
        return doer is not None or is_due

    def _doer(self, pending: _Pending, within_ns: int) -> Doer | None:
        """Return who wrote the file last, of those who wrote all that the change shows in."""
        file = pending.change.file
        not_before = pending.since_ns - within_ns
        writers = self._writers(file, not_before)
        for other in pending.change.also:
            keys = {writer.key for writer in self._writers(other, not_before)}
            writers = tuple(one for one in writers if one.key in keys) or writers
        for related in pending.related.get(file, ()):
            writers = writers or self._writers(related, not_before)
        return writers[0] if writers else None

    def _writers(self, path: str, not_before_ns: int) -> tuple[Doer, ...]:
        """Return who wrote a file, the last one first; asked once for all changes of a look."""
        key = (path, not_before_ns)
        if key not in self._found:
            identity = self._files.identity(path)
            self._found[key] = self._doers.of(path, identity, not_before_ns)
        return self._found[key]
