from __future__ import annotations

import pytest
from tests.agent.spool.world import numbers, packet

from deodar.agent.loss import LossBook
from deodar.agent.spool import AGED, DISK, FULL, Level
from deodar.agent.spool.held import Held
from deodar.agent.spool.thinning import Thinner


@pytest.fixture
def losses() -> LossBook:
    return LossBook()


@pytest.fixture
def held(losses: LossBook) -> Held:
    return Held(Thinner(), losses)


def fill(held: Held, kinds: list[str], packets: int = 10) -> None:
    for number in range(packets):
        first = number * len(kinds)
        held.add(packet(range(first, first + len(kinds)), kinds, 2_000))


def content(held: Held) -> list[int]:
    return [number for one in held.packets for number in numbers(one.body)]


def told(losses: LossBook) -> dict[str, int]:
    return {loss.reason: loss.count for loss in losses.take()}


def test_low_importance_goes_first_the_oldest_first(held: Held, losses: LossBook) -> None:
    fill(held, ["low", "medium", "high"])
    before = held.bytes
    held.limit(int(before * 0.9))
    assert held.bytes <= before * 0.9
    missing = sorted(set(range(30)) - set(content(held)))
    assert missing == list(range(0, missing[-1] + 1, 3))
    assert told(losses) == {DISK[Level.LOW]: len(missing)}


def test_high_importance_goes_last(held: Held, losses: LossBook) -> None:
    fill(held, ["low", "medium", "high"])
    held.limit(held.bytes // 2)
    assert [number for number in content(held) if number % 3 == 2] == list(range(2, 30, 3))
    held.limit(held.bytes // 3)
    kept = content(held)
    assert kept == list(range(kept[0], 30, 3))
    assert kept[0] % 3 == 2
    assert sum(told(losses).values()) == 30 - len(kept)


def test_one_packet_of_high_importance_may_stay(held: Held, losses: LossBook) -> None:
    fill(held, ["high"], 3)
    held.limit(1)
    assert content(held) == [2]
    assert told(losses) == {DISK[Level.HIGH]: 2}
    held.lose_oldest("any reason")
    fill(held, ["low"], 1)
    held.limit(1)
    assert len(held) == held.bytes == 0


def test_nothing_goes_while_there_is_room(held: Held, losses: LossBook) -> None:
    fill(held, ["low"])
    held.limit(held.bytes)
    assert (len(held), held.events) == (10, 10)
    assert told(losses) == {}


def test_all_of_an_importance_can_be_taken_out(held: Held, losses: LossBook) -> None:
    fill(held, ["low", "high"])
    assert held.thin(Level.LOW, FULL[Level.LOW])
    assert content(held) == list(range(1, 20, 2))
    assert held.bytes == sum(len(one.body) for one in held.packets)
    assert not held.thin(Level.LOW, FULL[Level.LOW])
    assert told(losses) == {FULL[Level.LOW]: 10}


def test_what_is_too_old_goes(held: Held, losses: LossBook) -> None:
    fill(held, ["high"], 2)  # both stored at 0
    held.expire(0.0)
    assert len(held) == 2
    held.expire(1.0)
    assert len(held) == 0
    assert told(losses) == {AGED: 2}
