"""One event for one kernel module: the call that loaded it, and the name that the kernel gave it.

The kernel tells the name while the call runs; the call's end, which knows the file, tells that it
went well. A name without a call (its part is not there, or its record was lost) is an event of its
own after a while. A module that fails to start is taken in and given up, without any call that goes
well: that is no event.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deodar.agent.sensors.acts import KernelModule, ModuleSeen
from deodar.agent.sensors.base import ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.sensors.base import Record
    from deodar.agent.settings import AgentSettings

HELD = 30.0
"""Seconds that a module may take to start before its name is told without its file."""
MOST_HELD = 256
Wanted = tuple[ProcessKey, str]
"""Who wants what: the process, and "load" or "unload"."""


@dataclass(slots=True)
class Held:
    """A name that waits for its call."""

    since: float
    seen: ModuleSeen


class ModuleGatherer:
    """Puts names and calls together."""

    takes: tuple[type[Any], ...] = (ModuleSeen, KernelModule)
    sees: tuple[type[Any], ...] = ()

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[Wanted, Held] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many names wait."""
        return len(self._held)

    def take(self, record: ModuleSeen | KernelModule) -> Sequence[Record]:
        """Return a call with its name; keep a name until its call ends."""
        wanted = record.key, record.operation
        if isinstance(record, KernelModule):
            held = self._held.pop(wanted, None)
            return [_named(record, held.seen if held is not None else None)]
        before = self._give(wanted) if wanted in self._held else []
        if len(self._held) >= MOST_HELD:
            before += self._give(next(iter(self._held)))
        self._held[wanted] = Held(self._clock(), record)
        return before

    def see(self, record: Record) -> Sequence[Record]:
        """Sees nothing."""
        return ()

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return names whose call has not come."""
        found: list[Record] = []
        while self._held:
            wanted, held = next(iter(self._held.items()))
            if not last and now - held.since < HELD:
                break
            found += self._give(wanted)
        return found

    def _give(self, wanted: Wanted) -> list[Record]:
        """Give up waiting for a call; what was taken in and given up again is no event."""
        seen = self._held.pop(wanted).seen
        other = seen.key, "unload" if seen.operation == "load" else "load"
        counterpart = self._held.get(other)
        if counterpart is not None and counterpart.seen.name == seen.name:
            del self._held[other]
            return []
        return [KernelModule(seen.time_ns, seen.key, seen.name, seen.operation, taints=seen.taints)]


def module_gatherer(_context: Context, _settings: AgentSettings) -> ModuleGatherer:
    """Return the gatherer for the pipeline."""
    return ModuleGatherer()


def _named(call: KernelModule, seen: ModuleSeen | None) -> KernelModule:
    if seen is not None:
        call.name, call.taints = seen.name, seen.taints
    elif not call.name:
        call.name = name_of(call.path)
    return call


def name_of(path: bytes) -> bytes:
    """Return the name that a module's file says it has, as the kernel writes names."""
    return path.rpartition(b"/")[2].partition(b".ko")[0].replace(b"-", b"_")
