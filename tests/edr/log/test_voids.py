from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deodar.edr.log.voids import NONE, Void, Voids

TWO = Voids([Void(100, 200), Void(10, 20)])


@st.composite
def some(draw) -> Voids:
    ends = sorted(draw(st.sets(st.integers(0, 60), max_size=8)))
    return Voids(Void(a, b) for a, b in zip(ends[::2], ends[1::2], strict=False))


def test_a_place_in_a_range_goes_on_at_its_end():
    assert [TWO.skip(seq) for seq in (9, 10, 15, 19, 20, 21, 150)] == [9, 20, 20, 20, 20, 21, 200]


def test_what_is_read_at_once_ends_before_the_next_range():
    assert TWO.next_after(20, 150) == 100
    assert TWO.next_after(20, 99) == 99
    assert TWO.next_after(0, 5) == 5
    assert TWO.next_after(200, 900) == 900


def test_the_last_number_that_may_be_an_event():
    assert [TWO.before(seq) for seq in (9, 10, 11, 15, 20, 21, 200)] == [9, 10, 10, 10, 10, 21, 100]


def test_without_ranges_nothing_is_passed_over():
    assert (NONE.skip(5), NONE.next_after(5, 9), NONE.within(0, 9)) == (5, 9, 0)


@given(some(), st.integers(0, 60), st.integers(0, 60))
def test_walking_visits_each_number_outside_the_ranges_once(voids, after, upto):
    inside = {n for one in voids for n in range(one.after + 1, one.upto + 1)}
    seen, at = [], after
    while at < upto:
        at = voids.skip(at)
        last = voids.next_after(at, max(at, upto))
        seen += range(at + 1, last + 1)
        assert last > at or at >= upto or voids.skip(at) > at
        at = max(at, last)
    assert seen == [n for n in range(after + 1, upto + 1) if n not in inside]
    assert voids.within(after, upto) == sum(n in inside for n in range(after + 1, upto + 1))
