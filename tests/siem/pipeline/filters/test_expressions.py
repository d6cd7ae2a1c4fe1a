from __future__ import annotations

from deodar.siem.pipeline.fields import field
from deodar.siem.pipeline.filters.expressions import (
    And,
    Condition,
    Not,
    Or,
    conditions,
    dictionaries,
    negated,
)

NAME = Condition(field("Name"), "=", ("a",))
KNOWN = Condition(field("SourceUserName"), "inDictionary", ("users",))


def test_two_negations_are_none():
    assert negated(NAME) == Not(NAME)
    assert negated(negated(NAME)) == NAME


def test_conditions_come_in_the_order_of_the_text():
    tree = And((Or((NAME, Not(KNOWN))), NAME))
    assert list(conditions(tree)) == [NAME, KNOWN, NAME]


def test_the_dictionaries_that_a_filter_asks_are_known():
    assert dictionaries(And((NAME, Not(KNOWN)))) == {"users"}
    assert dictionaries(NAME) == frozenset()
