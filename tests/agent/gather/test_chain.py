from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from deodar.agent.gather.chain import Gatherers
from deodar.agent.sensors.base import Act, Exit, ProcessKey

if TYPE_CHECKING:
    from deodar.agent.sensors.base import Record

KEY = ProcessKey(7, 9)


@dataclass(slots=True)
class Drop(Act):
    amount: int = 1


@dataclass(slots=True)
class Cup(Act):
    amount: int = 0


class Cups:
    """Makes one cup of all drops, when their process ends or after a second."""

    takes: tuple[type[Any], ...] = (Drop,)
    sees: tuple[type[Any], ...] = (Exit,)

    def __init__(self) -> None:
        self._drops: list[Drop] = []

    @property
    def waiting(self) -> int:
        return len(self._drops)

    def take(self, record: Drop) -> list[Record]:
        self._drops.append(record)
        return []

    def see(self, record: Exit) -> list[Record]:
        return self.due(2.0)

    def due(self, now: float, *, last: bool = False) -> list[Record]:
        if not self._drops or (now < 1.0 and not last):
            return []
        amount, self._drops = sum(drop.amount for drop in self._drops), []
        return [Cup(5, KEY, amount)]


@dataclass
class Greedy:
    takes: tuple[type[Any], ...] = (Drop,)
    sees: tuple[type[Any], ...] = ()
    waiting: int = 0
    given: list[Any] = field(default_factory=list)

    def take(self, record: Any) -> list[Record]:
        return [record, record]

    def see(self, record: Any) -> list[Record]:
        return []

    def due(self, now: float, *, last: bool = False) -> list[Record]:
        return []


def test_what_nobody_wants_goes_through() -> None:
    record = Cup(1, KEY)
    assert list(Gatherers([Cups()]).through(record)) == [record]
    assert list(Gatherers([]).through(record)) == [record]


def test_records_are_gathered_and_come_before_the_one_that_ends_them() -> None:
    chain = Gatherers([Cups()])
    assert list(chain.through(Drop(1, KEY, 2))) == []
    assert list(chain.through(Drop(2, KEY, 3))) == []
    assert chain.waiting == 2
    end = Exit(6, KEY)
    assert list(chain.through(end)) == [Cup(5, KEY, 5), end]
    assert chain.waiting == 0


def test_what_has_waited_long_enough_is_given_and_everything_at_the_last() -> None:
    chain = Gatherers([Cups()])
    chain.through(Drop(1, KEY))
    assert chain.due(0.5) == []
    assert chain.due(1.5) == [Cup(5, KEY, 1)]
    chain.through(Drop(1, KEY))
    assert chain.due(0.0, last=True) == [Cup(5, KEY, 1)]


def test_one_record_may_become_several() -> None:
    drop = Drop(1, KEY)
    assert list(Gatherers([Greedy()]).through(drop)) == [drop, drop]


def test_two_that_take_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="Drop"):
        Gatherers([Cups(), Greedy()])
