"""The watchers that are in use; a new one is a module of this package, named here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.sensors.errors import SensorError
from deodar.agent.watch.control_groups import GroupWatcher
from deodar.agent.watch.logons import logon_watcher
from deodar.agent.watch.running import running_watcher
from deodar.agent.watch.state import StateWatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.settings import AgentSettings
    from deodar.agent.watch import Put, Watcher
    from deodar.kit.directory import StateDirectory

    Maker = Callable[[AgentSettings, StateDirectory], Watcher]

WATCHERS: tuple[Maker, ...] = (StateWatcher, GroupWatcher, logon_watcher, running_watcher)


class Watchers:
    """All watchers of one run of the task Behavior_Detection."""

    def __init__(
        self,
        settings: AgentSettings,
        directory: StateDirectory,
        makers: tuple[Maker, ...] = WATCHERS,
    ) -> None:
        """`directory` is the agent's: a watcher may keep there what it has to know next time."""
        self._all = [make(settings, directory) for make in makers]
        self._open: list[Watcher] = []
        self.refused: list[tuple[str, str]] = []
        """Those that do not work on this host, and why."""

    @property
    def covers(self) -> list[str]:
        """What those that work see, for people."""
        return [watcher.covers for watcher in self._open]

    @property
    def sources(self) -> list[str]:
        """The names of those that work, as the kinds of telemetry know them."""
        return [f"watch/{watcher.name}" for watcher in self._open]

    @property
    def gatherers(self) -> list[Gatherer]:
        """What they want to see of the sensor's records."""
        return [w.gatherer for w in self._all if w.gatherer is not None]

    def open(self, put: Put) -> None:
        """Start all; one that cannot does not keep the others from it."""
        for watcher in self._all:
            try:
                watcher.open(put)
            except SensorError as error:
                self.refused.append((f"watch/{watcher.name}", str(error)))
            else:
                self._open.append(watcher)

    def close(self) -> None:
        """Stop all."""
        while self._open:
            self._open.pop().close()
