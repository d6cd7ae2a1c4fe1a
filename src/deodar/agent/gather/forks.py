"""Forks that run a program at once are no events of their own: the program's start tells of both.

A fork is held back until its child runs a program, ends, or has lived for a second without. The
child is found in the table of processes from the beginning, for what it does in between.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from deodar.agent.enrich.identity import place
from deodar.agent.sensors.base import Exec, Exit, Fork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record
    from deodar.agent.settings import AgentSettings

HELD_FOR = 1.0
MOST = 4096


class Forks:
    """Holds forks back until it is known what becomes of them."""

    takes: tuple[type[Any], ...] = (Fork,)
    sees: tuple[type[Any], ...] = (Exec, Exit)

    def __init__(self, context: Context, _settings: AgentSettings) -> None:
        self._context = context
        self._held: dict[int, tuple[float, Fork]] = {}

    @property
    def waiting(self) -> int:
        """Forks that are held back."""
        return len(self._held)

    def take(self, record: Fork) -> Sequence[Record]:
        """Hold one back; the oldest goes on when there are too many.

        One whose child is not known well enough to be known again goes on at once.
        """
        if not record.child.start:
            return (record,)
        self._context.expected(record)
        self._held[place(record.child)] = (time.monotonic() + HELD_FOR, record)
        if len(self._held) <= MOST:
            return ()
        return (self._held.pop(next(iter(self._held)))[1],)

    def see(self, record: Exec | Exit) -> Sequence[Record]:
        """Forget the fork of a process that runs a program now; let go that of one that ends."""
        held = self._held.pop(place(record.key), None)
        return () if held is None or isinstance(record, Exec) else (held[1],)

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return the forks that have been held back long enough."""
        found: list[Record] = []
        for key, (until, record) in list(self._held.items()):
            if until > now and not last:
                break
            del self._held[key]
            found.append(record)
        return found
