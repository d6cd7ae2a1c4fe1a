from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deodar.siem.connectors.sequences import MOST_RANGES, Sequences


@given(st.lists(st.integers(1, 60)))
def test_it_has_just_what_was_added_in_rising_ranges_apart(numbers):
    found = Sequences()
    for number in numbers:
        found.add(number)
    assert {number for number in range(62) if number in found} == set(numbers)
    ends = [end for pair in found.ranges for end in pair]
    assert ends == sorted(ends)
    assert all(a[1] + 1 < b[0] for a, b in zip(found.ranges, found.ranges[1:], strict=False))


def test_numbers_that_follow_one_another_cost_one_range():
    found = Sequences([(1, 5)])
    for number in range(6, 2000):
        found.add(number)
    assert found.ranges == [(1, 1999)]


def test_beyond_a_number_of_gaps_the_lowest_are_closed():
    found = Sequences()
    for number in range(2 * (MOST_RANGES + 5)):
        found.add(2 * number)
    assert len(found.ranges) == MOST_RANGES
    assert 1 in found
    assert 4 * MOST_RANGES + 9 not in found
