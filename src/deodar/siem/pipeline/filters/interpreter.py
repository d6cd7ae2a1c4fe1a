"""A filter on one event: the specification that the columnar evaluation must equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deodar.siem.pipeline.filters.expressions import And, Condition, Expression, Not
from deodar.siem.pipeline.filters.operators import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deodar.siem.pipeline.filters.operators import Tables, Test

    Predicate = Callable[[Mapping[str, Any]], bool]


def predicate(expression: Expression, tables: Tables) -> Predicate:
    """Return the function that tells whether an event (field to value) meets a filter.

    Raises ValueError when a dictionary that it asks is not there.
    """
    if isinstance(expression, Condition):
        return _condition(expression, tables)
    if isinstance(expression, Not):
        term = predicate(expression.term, tables)
        return lambda event: not term(event)
    terms = [predicate(term, tables) for term in expression.terms]
    quantifier = all if isinstance(expression, And) else any
    return lambda event: quantifier(term(event) for term in terms)


def _condition(condition: Condition, tables: Tables) -> Predicate:
    left, other = condition.field, condition.other
    if other is None:
        meets = OPERATORS[condition.operator].test(condition, tables)
        return lambda event: meets(left.value(event))
    compare = pair_test(condition)
    return lambda event: compare(left.value(event), other.value(event))


def pair_test(condition: Condition) -> Callable[[Any, Any], bool]:
    """Return the test of a condition on two fields of one event."""
    compare = OPERATORS[condition.operator].compare
    if compare is None:
        raise ValueError(f"{condition.operator} does not compare two fields")
    if condition.ignore_case:
        return lambda left, right: compare(left.lower(), right.lower())
    return compare


def value_test(condition: Condition, tables: Tables) -> Test:
    """Return the test of a condition with constants; raises ValueError as `predicate` does."""
    return OPERATORS[condition.operator].test(condition, tables)
