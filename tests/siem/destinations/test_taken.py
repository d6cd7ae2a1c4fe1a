from __future__ import annotations

from deodar.siem.destinations.taken import Taken, without_empty


def test_what_is_taken_is_not_in_the_rest():
    row = Taken({"A": 1, "B": 0, "C": "x"})
    assert row.take("Z", "A") == 1
    assert row.take("A") is None
    assert row.take("B") == 0
    assert row.peek("C") == "x"
    assert row.rest() == {"C": "x"}


def test_a_slot_is_found_by_its_label_and_taken_with_it():
    row = Taken({"FlexString2": "u-1", "FlexString2Label": "UniquePid", "FlexString1": "x"})
    assert row.slot("UniqueParentPid") is None
    assert row.slot("UniquePid") == "u-1"
    assert row.rest() == {"FlexString1": "x"}


def test_what_is_empty_is_left_out_but_for_zeros():
    assert without_empty({"a": None, "b": {"c": None}, "d": 0, "e": [], "f": {"g": 1}}) == {
        "d": 0,
        "f": {"g": 1},
    }
