from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deodar.agent.sensors.base import Act, ProcessKey
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.watch.registry import WATCHERS, Watchers
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.settings import AgentSettings
    from deodar.agent.watch import Put


class Bell:
    """Puts one record when it is opened."""

    name = "bell"
    covers = "ringing"
    gatherer = None

    def __init__(self, _settings: AgentSettings, directory: StateDirectory) -> None:
        self.directory = directory
        self.rings = False

    def open(self, put: Put) -> None:
        self.rings = True
        put([Act(1, ProcessKey(1, 2))])

    def close(self) -> None:
        self.rings = False


class Broken(Bell):
    name = "broken"

    def open(self, put: Put) -> None:
        raise SensorUnavailable("it fell down")


def test_those_that_work_do_and_the_others_say_why_not(
    settings: AgentSettings, tmp_path: Path
) -> None:
    got: list[Any] = []
    watchers = Watchers(settings, StateDirectory(tmp_path), (Broken, Bell))
    watchers.open(got.extend)
    assert got == [Act(1, ProcessKey(1, 2))]
    assert watchers.sources == ["watch/bell"]
    assert watchers.covers == ["ringing"]
    assert watchers.refused == [("watch/broken", "it fell down")]
    watchers.close()
    assert watchers.sources == []


def test_names_are_used_once(settings: AgentSettings, tmp_path: Path) -> None:
    names = [make(settings, StateDirectory(tmp_path)).name for make in WATCHERS]
    assert len(names) == len(set(names))
