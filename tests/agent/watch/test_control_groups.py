from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.conftest import wait_for

from deodar.agent.gather.running_services import unified
from deodar.agent.sensors.errors import SensorUnavailable
from deodar.agent.watch import control_groups as module
from deodar.agent.watch.control_groups import GroupWatcher
from deodar.kit.directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deodar.agent.settings import AgentSettings

REAL = unified()


class Watch:
    """A watcher, and what it told."""

    def __init__(self, settings: AgentSettings, root: Path) -> None:
        self.told: list[Any] = []
        self.watcher = GroupWatcher(settings, StateDirectory(root), root=root)
        self.watcher.open(self.told.extend)

    def of(self, mark: str) -> list[tuple[str, str]]:
        return [(one.operation, one.path) for one in self.told if mark in one.path]


@pytest.fixture
def watch(settings: AgentSettings) -> Iterator[Callable[[Path], Watch]]:
    made: list[Watch] = []

    def build(root: Path) -> Watch:
        made.append(Watch(settings, root))
        return made[-1]

    yield build
    for one in made:
        one.watcher.close()


def test_services_that_come_and_go(watch: Callable[[Path], Watch], tmp_path: Path) -> None:
    (tmp_path / "system.slice").mkdir()
    one = watch(tmp_path)
    group = tmp_path / "system.slice/a.service"
    group.mkdir()
    group.rmdir()
    (tmp_path / "system.slice/session-1.scope").mkdir()
    wait_for(lambda: len(one.told) >= 3)
    path = "/system.slice/a.service"
    assert one.of("") == [("made", path), ("populated", path), ("removed", path)]
    assert {record.id for record in one.told} == {0}


def test_new_slices_are_watched_too(watch: Callable[[Path], Watch], tmp_path: Path) -> None:
    one = watch(tmp_path)
    (tmp_path / "user.slice").mkdir()
    wait_for(lambda: len(one.watcher._groups) == 2)
    (tmp_path / "user.slice/u@1.service").mkdir()
    wait_for(lambda: len(one.watcher._groups) == 3)
    (tmp_path / "user.slice/u@1.service/b.service").mkdir()
    wait_for(lambda: len(one.told) == 4)
    assert one.of("b.service")[0] == ("made", "/user.slice/u@1.service/b.service")


def test_what_is_told_waits_for_the_kernel_s_own_record(
    watch: Callable[[Path], Watch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD", 3600.0)
    one = watch(tmp_path)
    (tmp_path / "a.service").mkdir()
    wait_for(lambda: one.watcher._held)
    assert one.told == []


def test_folders_beyond_the_limit_are_not_watched(
    watch: Callable[[Path], Watch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FOLDERS", 2)
    for name in "abc":
        (tmp_path / name).mkdir()
    assert len(watch(tmp_path).watcher._groups) == 2


def test_without_a_hierarchy_it_cannot_watch(settings: AgentSettings, tmp_path: Path) -> None:
    watcher = GroupWatcher(settings, StateDirectory(tmp_path), root=tmp_path / "absent")
    with pytest.raises(SensorUnavailable, match="no hierarchy of control groups"):
        watcher.open(lambda _: None)
    watcher.close()


@pytest.mark.skipif(
    REAL is None or os.geteuid() != 0, reason="needs root and a unified hierarchy of control groups"
)
def test_a_real_group(watch: Callable[[Path], Watch]) -> None:
    mark = f"deodar-{uuid.uuid4().hex}"
    one = watch(Path(str(REAL)))
    group = Path(f"{REAL}/{mark}.service")
    group.mkdir()
    with suppress(OSError):
        group.rmdir()
    wait_for(lambda: len(one.of(mark)) == 3)
    assert [operation for operation, _ in one.of(mark)] == ["made", "populated", "removed"]
