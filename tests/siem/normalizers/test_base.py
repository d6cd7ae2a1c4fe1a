from __future__ import annotations

from deodar.siem.normalizers.base import Arrived, arrived


def test_events_are_a_sequence_with_their_origins():
    given = Arrived([b"a", b"b", b"c"], ["x", "y", "z"], [1, 2, 3])
    assert (len(given), given[1], given[1:], list(given)) == (
        3,
        b"b",
        [b"b", b"c"],
        [b"a", b"b", b"c"],
    )
    assert arrived(given) is given


def test_events_of_unknown_origin_get_an_empty_one():
    found = arrived([b"a", memoryview(b"b")])
    assert (found.events, found.sources, found.times_us) == ([b"a", b"b"], ["", ""], [0, 0])
