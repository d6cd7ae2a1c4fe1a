from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.gather import service_runs as module
from deodar.agent.gather.service_runs import EMPTY_FOR, ServiceRuns
from deodar.agent.sensors.acts import CgroupChange
from deodar.agent.sensors.base import ProcessKey

if TYPE_CHECKING:
    from collections.abc import Sequence

MANAGER, CHILD = ProcessKey(1, 1), ProcessKey(7, 7)
PATH = "/system.slice/x.service"


class Kernel:
    """Tells a gatherer of groups, and shows what came of it."""

    def __init__(self, *already: str) -> None:
        self.now = 0.0
        self.runs = ServiceRuns(already, clock=lambda: self.now)

    def tell(self, operation: Any, key: ProcessKey, path: str = PATH, id: int = 5) -> list[Any]:  # noqa: A002  as the record has it
        return short(self.runs.take(CgroupChange(1, key, operation, path, id)))

    def due(self, *, last: bool = False) -> list[Any]:
        return short(self.runs.due(self.now, last=last))


def short(records: Sequence[Any]) -> list[Any]:
    return [(record.name, record.running, record.key) for record in records]


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_a_service_starts_and_is_stopped_by_its_manager(kernel: Kernel) -> None:
    assert kernel.tell("made", MANAGER) == []
    assert kernel.tell("populated", CHILD) == [("x.service", True, MANAGER)]
    assert kernel.tell("emptied", CHILD) == []
    assert kernel.tell("removed", MANAGER) == [("x.service", False, MANAGER)]
    assert kernel.runs.waiting == 0


def test_commands_of_one_start_that_follow_one_another_are_no_stop(kernel: Kernel) -> None:
    kernel.tell("made", MANAGER)
    kernel.tell("populated", CHILD)
    for _ in range(3):
        assert kernel.tell("emptied", CHILD) == []
        assert kernel.runs.waiting == 1
        assert kernel.tell("populated", CHILD) == []
    kernel.now = 100.0
    assert kernel.due() == []


def test_a_service_whose_last_process_is_gone_has_stopped(kernel: Kernel) -> None:
    kernel.tell("populated", CHILD)
    kernel.tell("emptied", CHILD)
    kernel.now = EMPTY_FOR / 2
    assert kernel.due() == []
    kernel.now = EMPTY_FOR
    assert kernel.due() == [("x.service", False, CHILD)]
    assert kernel.tell("removed", MANAGER) == []


def test_it_starts_again(kernel: Kernel) -> None:
    kernel.tell("populated", CHILD)
    kernel.tell("emptied", CHILD)
    assert kernel.due(last=True) == [("x.service", False, CHILD)]
    assert kernel.tell("populated", CHILD) == [("x.service", True, CHILD)]


def test_one_that_ran_before_the_agent_can_stop_but_not_start() -> None:
    kernel = Kernel(PATH)
    assert kernel.tell("populated", CHILD) == []
    assert kernel.tell("removed", MANAGER) == [("x.service", False, MANAGER)]


def test_a_group_that_never_had_a_process_neither_starts_nor_stops(kernel: Kernel) -> None:
    assert kernel.tell("made", MANAGER) == kernel.tell("removed", MANAGER) == []


def test_other_groups_are_no_services(kernel: Kernel) -> None:
    assert kernel.tell("populated", CHILD, "/user.slice/session-1.scope") == []


def test_a_second_source_is_heard_only_without_the_first(kernel: Kernel) -> None:
    assert kernel.tell("populated", CHILD, id=0) == [("x.service", True, CHILD)]
    kernel.tell("removed", MANAGER)
    assert kernel.tell("populated", CHILD, id=0) == []


def test_of_groups_beyond_the_limit_the_stop_is_still_told(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    kernel.tell("populated", CHILD, "/a.service")
    kernel.tell("populated", CHILD, "/b.service")
    assert kernel.tell("removed", MANAGER, "/a.service") == [("a.service", False, MANAGER)]
