from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from deodar.agent.gather import forks as module
from deodar.agent.gather.forks import HELD_FOR, Forks
from deodar.agent.sensors.base import Exec, Exit, Fork, ProcessKey

if TYPE_CHECKING:
    from deodar.agent.enrich.context import Context
    from deodar.agent.settings import AgentSettings

NOW = 1_800_000_000_000_000_000
PARENT = ProcessKey(4_100_000, 70_000_000_000)


def child(number: int = 0) -> ProcessKey:
    return ProcessKey(4_100_001 + number, 80_000_000_123 + number)


@pytest.fixture
def forks(context: Context, settings: AgentSettings) -> Forks:
    return Forks(context, settings)


def test_a_fork_that_runs_a_program_is_told_by_its_start_alone(
    forks: Forks, context: Context
) -> None:
    assert list(forks.take(Fork(NOW, child(), PARENT))) == []
    assert forks.waiting == 1
    assert context.processes.get(child()) is not None  # for what it does before
    assert list(forks.see(Exec(NOW + 5, child(), PARENT, [b"x"], exe=b"/bin/x"))) == []
    assert forks.waiting == 0
    assert list(forks.due(time.monotonic() + 100, last=True)) == []


def test_a_fork_that_ends_is_told_before_its_end(forks: Forks) -> None:
    fork = Fork(NOW, child(), PARENT)
    forks.take(fork)
    assert list(forks.see(Exit(NOW + 5, child()))) == [fork]
    assert forks.waiting == 0


def test_a_fork_that_lives_on_is_told_after_a_second(forks: Forks) -> None:
    first, second = (Fork(NOW, child(n), PARENT) for n in range(2))
    forks.take(first)
    forks.take(second)
    assert list(forks.due(time.monotonic())) == []
    assert list(forks.due(time.monotonic() + HELD_FOR)) == [first, second]


def test_at_the_last_all_are_told(forks: Forks) -> None:
    fork = Fork(NOW, child(), PARENT)
    forks.take(fork)
    assert list(forks.due(0.0, last=True)) == [fork]


def test_no_more_are_held_than_there_is_room_for(
    forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    every = [Fork(NOW, child(n), PARENT) for n in range(3)]
    given = [one for fork in every for one in forks.take(fork)]
    assert given == every[:1]
    assert forks.waiting == 2


def test_one_whose_child_cannot_be_known_again_goes_on_at_once(forks: Forks) -> None:
    fork = Fork(NOW, ProcessKey(5, 0), PARENT)
    assert list(forks.take(fork)) == [fork]
