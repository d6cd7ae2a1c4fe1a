"""From the tree of a filter back to text: one spelling for each tree."""

from __future__ import annotations

from deodar.kedrql.expressions import And, Comparison, Expression, Not, Or, Pattern
from deodar.kedrql.values import quoted


def canonical(expression: Expression) -> str:
    """Return text that `parse` reads back to an equal tree.

    It is in the API's notation: `==` with wildcards, `!=` for a negated equality, values in single
    quotes, and parentheses only where they are needed.
    """
    if isinstance(expression, Comparison | Pattern):
        return _condition(expression, _operator(expression))
    if isinstance(expression, Not):
        return _negation(expression.term)
    return _joined(expression)


def _joined(expression: And | Or) -> str:
    inner = (And, Or) if isinstance(expression, And) else (Or,)
    word = " AND " if isinstance(expression, And) else " OR "
    return word.join([_enclosed(term, inner) for term in expression.terms])


def _negation(term: Expression) -> str:
    if isinstance(term, Comparison | Pattern) and _operator(term) == "==":
        return _condition(term, "!=")
    return f"NOT {_enclosed(term, (And, Or))}"


def _enclosed(term: Expression, kinds: tuple[type, ...]) -> str:
    text = canonical(term)
    return f"({text})" if isinstance(term, kinds) else text


def _operator(condition: Comparison | Pattern) -> str:
    return condition.operator if isinstance(condition, Comparison) else "=="


def _condition(condition: Comparison | Pattern, operator: str) -> str:
    return f"{condition.field.name} {operator} {_value(condition)}"


def _value(condition: Comparison | Pattern) -> str:
    if isinstance(condition, Pattern):
        return quoted(condition.parts)
    if isinstance(condition.value, int):
        return str(condition.value)
    return quoted([condition.value])
