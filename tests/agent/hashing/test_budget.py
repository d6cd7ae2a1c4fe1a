from __future__ import annotations

import pytest

from deodar.agent.hashing.budget import BURST, FUZZY_SHARE, PROGRAMS_SHARE, Budget


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_saved_up_can_be_spent_at_once_and_comes_back_slowly() -> None:
    clock = Clock()
    budget = Budget(10, clock)
    assert budget.level() == BURST
    budget.spend(BURST)
    assert not budget.allows()
    assert budget.spent == BURST
    clock.now += 10
    assert budget.level() == pytest.approx(1.0)
    assert budget.allows()
    clock.now += 10_000
    assert budget.level() == BURST


def test_debts_are_paid_back_first() -> None:
    clock = Clock()
    budget = Budget(50, clock)
    budget.spend(BURST + 5)
    clock.now += 9
    assert not budget.allows()
    clock.now += 2
    assert budget.allows()


def test_fuzzy_hashes_go_first() -> None:
    budget = Budget(10, Clock())
    assert budget.allows(fuzzy=True)
    budget.spend(BURST * (1 - FUZZY_SHARE))
    assert not budget.allows(fuzzy=True)
    assert budget.allows()


def test_libraries_and_data_leave_the_most_to_programs() -> None:
    budget = Budget(10, Clock())
    assert budget.allows(program=False)
    budget.spend(BURST * (1 - PROGRAMS_SHARE))
    assert not budget.allows(program=False)
    assert budget.allows(fuzzy=True)
    assert budget.allows()
