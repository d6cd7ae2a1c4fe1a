"""From the tree of a filter to its code form, which reads back to an equal tree."""

from __future__ import annotations

from deodar.siem.pipeline.filters.expressions import And, Condition, Expression, Not, Or, Value


def code(expression: Expression) -> str:
    """Return a filter in code form."""
    if isinstance(expression, Condition):
        return _condition(expression)
    if isinstance(expression, Not):
        term = expression.term
        if isinstance(term, Condition) and term.operator == "=":
            return _condition(term, "!=")
        return f"NOT {_inner(term)}"
    word = " AND " if isinstance(expression, And) else " OR "
    return word.join(_inner(term) for term in expression.terms)


def _inner(term: Expression) -> str:
    return f"({code(term)})" if isinstance(term, And | Or) else code(term)


def _condition(condition: Condition, operator: str = "") -> str:
    if condition.other is not None:
        right = condition.other.name
    elif len(condition.values) == 1:
        right = _value(condition.values[0])
    else:
        right = f"[{', '.join(map(_value, condition.values))}]"
    ignore = " ignoreCase" if condition.ignore_case else ""
    return f"{condition.field.name} {operator or condition.operator} {right}{ignore}"


def _value(value: Value) -> str:
    if isinstance(value, str):
        hidden = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{hidden}'"
    return repr(value)
