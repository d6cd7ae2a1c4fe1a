from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.siem.pipeline.aggregation.test_rule import rule

from deodar.siem.pipeline.aggregation.grouping import portions
from deodar.siem.pipeline.frame import frame_of


def grouped(events, seen=0, **changes):
    made = rule(**changes)
    everywhere = np.ones(len(events), bool)
    return list(portions(frame_of(events), everywhere, made, lambda _key: seen))


def test_events_are_grouped_by_the_identical_fields():
    events = [
        {"Name": "a", "FileSize": 1, "Message": "x", "Timestamp": 5},
        {"Name": "b", "FileSize": 2, "Message": "x", "Timestamp": 6},
        {"Name": "a", "FileSize": 4, "Message": "y", "StartTime": 3, "EndTime": 9},
    ]
    first, second = grouped(events, sum=["FileSize"], unique=["Message"])
    assert (first.key, first.count, first.sums, first.unique) == (("a",), 2, (5,), (("x", "y"),))
    assert (first.first, first.last, first.is_full) == (3, 9, False)
    assert (second.key, second.count, second.first, second.last) == (("b",), 1, 6, 6)


def test_a_portion_ends_where_the_group_reaches_its_threshold():
    events = [{"Name": "a", "FileSize": size} for size in range(8)]
    found = grouped(events, seen=1, threshold=3, sum=["FileSize"])
    assert [(one.count, one.sums, one.is_full) for one in found] == [
        (2, (1,), True),
        (3, (9,), True),
        (3, (18,), True),
    ]


def test_a_window_that_is_beyond_a_lowered_threshold_closes_with_the_next_event():
    found = grouped([{"Name": "a"}], seen=50, threshold=3)
    assert [(one.count, one.is_full) for one in found] == [(1, True)]


def test_sums_stay_exact_however_large_they_are():
    events = [{"Name": "a", "FileSize": 2**62 + n} for n in range(5)]
    (found,) = grouped(events, sum=["FileSize"])
    assert found.sums == (5 * 2**62 + 10,)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(-5, 5)), min_size=1
    ),
    st.integers(0, 3),
    st.integers(2, 5),
)
def test_portions_are_what_one_event_after_the_other_would_give(rows, seen, threshold):
    events = [{"Name": name, "Message": text, "FileSize": size} for name, text, size in rows]
    expected: dict[str, list] = {}
    for name in dict.fromkeys(row[0] for row in rows):
        held, of_group = seen, [row for row in rows if row[0] == name]
        parts = expected.setdefault(name, [])
        part: list = []
        for row in of_group:
            part.append(row)
            held += 1
            if held >= threshold:
                parts.append((part, True))
                part, held = [], 0
        if part:
            parts.append((part, False))
    found: dict[str, list] = {}
    for one in grouped(events, seen, threshold=threshold, sum=["FileSize"], unique=["Message"]):
        found.setdefault(one.key[0], []).append(
            (one.count, one.sums[0], one.unique[0], one.is_full)
        )
    assert found == {
        name: [
            (
                len(part),
                sum(row[2] for row in part),
                tuple(dict.fromkeys(row[1] for row in part)),
                full,
            )
            for part, full in parts
        ]
        for name, parts in expected.items()
    }


def test_events_that_stand_for_others_count_for_those_but_once_towards_the_threshold():
    events = [{"Name": "a", "BaseEventCount": 40}, {"Name": "a"}, {"Name": "a"}]
    found = grouped(events, threshold=2)
    assert [(one.count, one.base, one.is_full) for one in found] == [(2, 41, True), (1, 1, False)]
