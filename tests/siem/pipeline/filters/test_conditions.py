from __future__ import annotations

import pytest

from deodar.siem.pipeline.filters import conditions
from deodar.siem.pipeline.filters.conditions import Misfit, condition
from deodar.siem.pipeline.filters.expressions import Condition, Not


def test_values_get_the_type_of_the_field():
    made = condition("DestinationPort", "=", ["22", 80])
    assert isinstance(made, Condition)
    assert made.values == (22, 80)
    assert condition("Name", "=", [22]).values == ("22",)
    assert condition("SourceLatitude", "<", ["1.5"]).values == (1.5,)


def test_not_equal_is_the_negation_of_equal():
    assert condition("Name", "!=", ["a"]) == Not(condition("Name", "=", ["a"]))


@pytest.mark.parametrize(
    ("name", "word", "right", "part", "reason"),
    [
        ("Nam", "=", ["a"], "field", "did you mean Name"),
        ("Name", "like", ["a"], "operator", "is no operator"),
        ("DestinationPort", "contains", ["2"], "operator", "needs a field of kind text"),
        ("DestinationPort", "=", ["x"], "value", "'x' is no integer"),
        ("DestinationPort", "=", [2**63], "value", "is no integer"),
        ("Name", "=", [], "value", "met by no event"),
        ("Name", "match", ["("], "value", "no regular expression of RE2"),
        ("Name", "match", ["a" * 5000], "value", "at most 4096 characters"),
        ("Name", "inSubnet", ["10.0.0.300"], "value", "is no subnet"),
        ("DestinationPort", "hasBit", [64], "value", "0 to 63"),
        ("Name", "match", "Message", "value", "written in quotes: 'Message'"),
        ("Name", "=", "root", "value", "written in quotes: 'root'"),
        ("Name", "=", "DestinationPort", "value", "Name is string, but DestinationPort is integer"),
        ("Name", "=", "GroupedBy", "value", "compared with constants only"),
        ("Name", "inDictionary", ["a", "b"], "value", "one name"),
    ],
)
def test_a_part_that_does_not_fit_is_told(name, word, right, part, reason):
    with pytest.raises(Misfit, match=reason) as caught:
        condition(name, word, right)
    assert caught.value.part == part


def test_the_case_is_ignored_only_where_that_means_something():
    assert condition("Name", "=", ["a"], ignore_case=True).ignore_case
    for name, word, value in (("DestinationPort", "=", 1), ("Name", "<", "a")):
        with pytest.raises(Misfit, match="ignoreCase has no meaning"):
            condition(name, word, [value], ignore_case=True)


def test_a_list_is_bounded_and_the_wrong_value_of_one_is_named(monkeypatch):
    monkeypatch.setattr(conditions, "MAX_VALUES", 3)
    with pytest.raises(Misfit, match="at most 3 values; use a dictionary"):
        condition("Name", "=", ["a"] * 4)
    with pytest.raises(Misfit) as caught:
        condition("DestinationPort", "=", [1, "x"])
    assert caught.value.index == 1
