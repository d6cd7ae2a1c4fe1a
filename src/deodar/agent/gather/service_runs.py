"""Services that start and stop, from what the kernel tells of their control groups.

A service runs while its group has a process. Between two commands of one start its group may be
empty for a moment; so it has stopped when its group is gone, or has been empty for a second.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deodar.agent.gather.running_services import running
from deodar.agent.sensors.acts import CgroupChange
from deodar.agent.sensors.base import UNKNOWN_PROCESS, ProcessKey
from deodar.agent.watch.records import ServiceRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record
    from deodar.agent.settings import AgentSettings

EMPTY_FOR = 1.0
"""Seconds without a process after which a service has stopped."""
MOST = 8192
"""Groups that are kept in mind; of one that is forgotten, the stop is told and no restart."""


@dataclass(slots=True)
class _Group:
    """The group of one service."""

    maker: ProcessKey = UNKNOWN_PROCESS
    runs: bool = False
    emptied: CgroupChange | None = None
    empty_from: float = 0.0


class ServiceRuns:
    """Makes starts and stops of services of the changes of groups."""

    takes: tuple[type[Any], ...] = (CgroupChange,)
    sees: tuple[type[Any], ...] = ()

    def __init__(
        self, already: Iterable[str] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`already` are the groups of the services that run now."""
        self._clock = clock
        self._groups: OrderedDict[str, _Group] = OrderedDict()
        self._empty: dict[str, _Group] = {}
        self._kernel_tells = False
        for path in already:
            self._groups[path] = _Group(runs=True)

    @property
    def waiting(self) -> int:
        """How many groups are empty and not yet stopped."""
        return len(self._empty)

    def take(self, record: CgroupChange) -> Sequence[Record]:
        """Return the start or stop that a change is; nothing for most."""
        if record.id:
            self._kernel_tells = True
        elif self._kernel_tells:
            return ()  # a second source, for hosts where the first is not to be had
        if not record.path.endswith(".service"):
            return ()
        return _STEPS[record.operation](self, record)

    def see(self, _record: Any) -> Sequence[Record]:
        """Never called: nothing is only seen."""
        return ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return the stops of those that have been empty for long enough."""
        found: list[Record] = []
        for path, group in [*self._empty.items()]:
            if not last and now - group.empty_from < EMPTY_FOR:
                continue
            del self._empty[path]
            if group.emptied is not None:
                group.runs = False
                found.append(_run(group.emptied, group.emptied.key, running=False))
        return found

    def _made(self, record: CgroupChange) -> Sequence[Record]:
        self._empty.pop(record.path, None)
        self._groups[record.path] = _Group(record.key)
        while len(self._groups) > MOST:
            forgotten, _ = self._groups.popitem(last=False)
            self._empty.pop(forgotten, None)
        return ()

    def _populated(self, record: CgroupChange) -> Sequence[Record]:
        group = self._groups.get(record.path)
        if group is None:
            self._made(record)
            group = self._groups[record.path]
        self._empty.pop(record.path, None)
        if group.runs:
            return ()
        group.runs = True
        maker, group.maker = group.maker, UNKNOWN_PROCESS
        return (_run(record, maker if maker.pid else record.key, running=True),)

    def _emptied(self, record: CgroupChange) -> Sequence[Record]:
        group = self._groups.get(record.path)
        if group is not None and group.runs:
            group.emptied, group.empty_from = record, self._clock()
            self._empty[record.path] = group
        return ()

    def _removed(self, record: CgroupChange) -> Sequence[Record]:
        self._empty.pop(record.path, None)
        group = self._groups.pop(record.path, None)
        if group is not None and not group.runs:
            return ()
        return (_run(record, record.key, running=False),)


_STEPS: dict[str, Callable[[ServiceRuns, CgroupChange], Sequence[Record]]] = {
    "made": ServiceRuns._made,
    "populated": ServiceRuns._populated,
    "emptied": ServiceRuns._emptied,
    "removed": ServiceRuns._removed,
}


def service_runs(_context: Context, _settings: AgentSettings) -> ServiceRuns:
    """Return the gatherer for this host, with the services that run on it."""
    return ServiceRuns(running())


def _run(record: CgroupChange, key: ProcessKey, *, running: bool) -> ServiceRun:
    name = record.path.rpartition("/")[2]
    return ServiceRun(record.time_ns, key, name, record.path, running)
