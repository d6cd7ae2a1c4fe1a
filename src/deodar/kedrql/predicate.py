"""From the tree of a filter to a function on events, made of closures.

It answers as the SQL of `deodar.kedrql.sql` does for the row of the event. A value of another type
than the vocabulary says counts as absent; it never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deodar.events import Event, Field, value
from deodar.kedrql.expressions import And, Comparison, Expression, Not, Or, Pattern
from deodar.kedrql.texts import COMPARE, text_test

if TYPE_CHECKING:
    from collections.abc import Callable

    Predicate = Callable[[Event], bool]


def predicate(expression: Expression) -> Predicate:
    """Return the function that tells whether an event passes the filter."""
    if isinstance(expression, Not):
        term = predicate(expression.term)
        return lambda event: not term(event)
    if isinstance(expression, And):
        return _all([predicate(term) for term in expression.terms])
    if isinstance(expression, Or):
        return _any([predicate(term) for term in expression.terms])
    return _condition(expression)


def _all(terms: list[Predicate]) -> Predicate:
    if len(terms) == 2:
        first, second = terms
        return lambda event: first(event) and second(event)

    def test(event: Event) -> bool:
        for term in terms:  # noqa: SIM110  a generator would cost more than the terms
            if not term(event):
                return False
        return True

    return test


def _any(terms: list[Predicate]) -> Predicate:
    if len(terms) == 2:
        first, second = terms
        return lambda event: first(event) or second(event)

    def test(event: Event) -> bool:
        for term in terms:  # noqa: SIM110  as above
            if term(event):
                return True
        return False

    return test


def _condition(condition: Comparison | Pattern) -> Predicate:
    if condition.field.kind == "strings":
        return _any_element(condition)
    if isinstance(condition, Comparison) and condition.field.kind == "integer":
        return _number(condition)
    if isinstance(condition, Comparison) and condition.operator == "==" and condition.value:
        return _equal(condition)
    return _text(condition)


def _number(condition: Comparison) -> Predicate:
    get, compare, wanted = _getter(condition.field), COMPARE[condition.operator], condition.value

    def test(event: Event) -> bool:
        found = get(event)
        return type(found) is int and compare(found, wanted)

    return test


def _equal(condition: Comparison) -> Predicate:
    """Return the most frequent condition of all; an absent field is never equal to some text."""
    name, wanted = condition.field.name, condition.value
    if "." in name:
        return lambda event: bool(value(event, name) == wanted)
    return lambda event: bool(event.get(name) == wanted)


def _text(condition: Comparison | Pattern) -> Predicate:
    get, meets = _getter(condition.field), text_test(condition)

    def test(event: Event) -> bool:
        found = get(event)
        return meets(found if type(found) is str else "")

    return test


def _any_element(condition: Comparison | Pattern) -> Predicate:
    name, meets = condition.field.name, text_test(condition)
    if_empty = meets("")

    def test(event: Event) -> bool:
        found = value(event, name)
        texts = [item for item in found if type(item) is str] if type(found) is list else []
        return any(map(meets, texts)) if texts else if_empty

    return test


def _getter(field: Field) -> Callable[[Event], Any]:
    name = field.name
    if "." in name:
        return lambda event: value(event, name)
    return lambda event: event.get(name)
