from __future__ import annotations

from deodar.agent.hashing.tally import Skip, Tally


def test_counts_are_told_by_reason_the_most_first() -> None:
    tally = Tally()
    assert tally.by_reason() == {}
    tally.add(Skip.NO_OPEN)
    tally.add(Skip.SIZE)
    for _ in range(3):
        tally.add(Skip.HUNG)
    assert list(tally.by_reason().items()) == [(Skip.HUNG.value, 3), (Skip.NO_OPEN.value, 1)]
    assert tally.by_reason(by_setting=True) == {Skip.SIZE.value: 1}


def test_every_reason_has_a_text_of_its_own() -> None:
    assert len({skip.value for skip in Skip}) == len(Skip)
