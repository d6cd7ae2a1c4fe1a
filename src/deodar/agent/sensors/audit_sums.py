"""Adds up what a process does to another one again and again, as the BPF sensor does in the kernel.

The first of each kind is told at once, what follows with the next one after a minute, or when it is
overdue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deodar.agent.sensors.acts import ProcessAccess
    from deodar.agent.sensors.base import ProcessKey, Record

WAIT_NS = 60 * 10**9
MOST = 1024
"""Kinds that are added up; more are told one by one."""
_Kind = tuple["ProcessKey", "ProcessKey", str]


class Sums:
    """What was told, and what has happened since."""

    def __init__(self) -> None:
        self._told: dict[_Kind, int] = {}
        self._since: dict[_Kind, ProcessAccess] = {}

    def add(self, record: ProcessAccess) -> list[Record]:
        """Return the record if it is to be told now, with what was added up before it."""
        kind = (record.key, record.target, record.way)
        told = self._told.get(kind)
        if told is not None and record.time_ns - told < WAIT_NS:
            self._sum_up(kind, record)
            return []
        since = self._since.pop(kind, None)
        if since is not None:
            record.calls += since.calls
            record.size += since.size
        if told is not None or len(self._told) < MOST:
            self._told[kind] = record.time_ns
        return [record]

    def overdue(self, now_ns: int) -> list[Record]:
        """Return what was added up and has not been told for long; forget it."""
        over = [kind for kind, told in self._told.items() if now_ns - told >= WAIT_NS]
        for kind in over:
            del self._told[kind]
        return [self._since.pop(kind) for kind in over if kind in self._since]

    def _sum_up(self, kind: _Kind, record: ProcessAccess) -> None:
        since = self._since.setdefault(kind, record)
        if since is not record:
            since.calls += record.calls
            since.size += record.size
            since.time_ns = record.time_ns
