"""Scheduled tasks, and what is different between those that a file held and holds."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.agent.sensors.base import UNKNOWN_PROCESS
from deodar.agent.watch.records import ScheduleChange, ScheduleKind
from deodar.agent.watch.survey import changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deodar.agent.watch.records import Operation


class Task(msgspec.Struct, frozen=True):
    """One entry of a schedule."""

    kind: ScheduleKind
    file: str
    expression: str
    command: str
    user: str
    is_enabled: bool = True
    is_masked: bool = False
    digest: str = ""
    """Of a script that runs as it is."""


def compare(old: tuple[Task, ...], new: tuple[Task, ...]) -> Iterator[ScheduleChange]:
    """Yield the changes of one file: of a task that stays similar, what is different."""
    if len(old) == len(new) == 1 and new[0].kind == "timer":  # one to a unit, whatever it says
        yield _record("Modified", new[0], _differences(old[0], new[0]))
        return
    before, after = set(old), set(new)
    gone = {task: None for task in old if task not in after}
    come = {task: None for task in new if task not in before}
    for alike in (_by_command, _by_time):
        for was, now in [*_pairs(gone, come, alike)]:
            del gone[was], come[now]
            yield _record("Modified", now, _differences(was, now))
    for task in gone:
        yield _record("Deleted", task, [])
    for task in come:
        yield _record("Created", task, [])


def _pairs(
    gone: dict[Task, None], come: dict[Task, None], alike: Callable[[Task], Any]
) -> Iterator[tuple[Task, Task]]:
    waiting: dict[Any, list[Task]] = defaultdict(list)
    for task in reversed(gone):
        waiting[alike(task)].append(task)
    for task in come:
        if matches := waiting.get(alike(task)):
            yield matches.pop(), task


def _by_command(task: Task) -> Any:
    return task.command


def _by_time(task: Task) -> Any:
    return task.expression, task.user


def _differences(old: Task, new: Task) -> list[str]:
    found: list[str] = []
    for name in ("expression", "command", "user", "file"):
        found += changed(name, getattr(old, name), getattr(new, name))
    found += changed("enabled", old.is_enabled, new.is_enabled)
    found += changed("masked", old.is_masked, new.is_masked)
    return found if old.digest == new.digest else [*found, "content"]


def _record(operation: Operation, task: Task, changes: list[str]) -> ScheduleChange:
    return ScheduleChange(
        0, UNKNOWN_PROCESS, operation, task.file, tuple(changes), False,
        task.kind, task.expression, task.command, task.user,
    )  # fmt: skip
