"""From the tree of a filter to a condition in ClickHouse's SQL.

Text of users is never part of the SQL: each value becomes a bound parameter `{p0:String}`. The
columns are those of the EDR log: `String` for text (empty if absent), `Nullable(Int64)` for
integers, `Array(String)` for lists. Columns of lists must not be named with dots: ClickHouse takes
those with a common prefix for one nested table, whose lists are all of one length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deodar.kedrql.expressions import And, Comparison, Expression, Not, Or, Pattern
from deodar.kedrql.texts import text_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.events import Field

_LIKE_SPECIAL = re.compile(r"[\\%_]")


@dataclass(frozen=True, slots=True)
class Sql:
    """A condition, which is 0 or 1 for every row and never NULL, and its parameters by name.

    The parameters are plain values: str or int. Whoever sends them escapes them as the engine's
    protocol asks.
    """

    text: str
    parameters: dict[str, Any] = field(default_factory=dict)


def backquoted(column: Field) -> str:
    """Return the field's name as the name of a column."""
    return f"`{column.name}`"


def to_sql(expression: Expression, column: Callable[[Field], str] = backquoted) -> Sql:
    """Return the filter as a condition in parentheses; `column` gives a field as SQL."""
    writer = _Writer(column)
    return Sql(f"({writer.write(expression)})", writer.parameters)


class _Writer:
    def __init__(self, column: Callable[[Field], str]) -> None:
        self.parameters: dict[str, Any] = {}
        self._column = column

    def write(self, expression: Expression) -> str:
        if isinstance(expression, Not):
            return f"NOT {self._enclosed(expression.term)}"
        if isinstance(expression, And):
            return " AND ".join([self._enclosed(term) for term in expression.terms])
        if isinstance(expression, Or):
            return " OR ".join([self._enclosed(term) for term in expression.terms])
        return self._condition(expression)

    def _enclosed(self, term: Expression) -> str:
        return f"({self.write(term)})"

    def _condition(self, condition: Comparison | Pattern) -> str:
        column = self._column(condition.field)
        if condition.field.kind == "integer":
            return f"ifNull({self._test(condition, column)}, 0)"
        if condition.field.kind == "string":
            return self._test(condition, column)
        exists = f"arrayExists(x -> {self._test(condition, 'x')}, {column})"
        return f"empty({column}) OR {exists}" if text_test(condition)("") else exists

    def _test(self, condition: Comparison | Pattern, operand: str) -> str:
        if isinstance(condition, Pattern):
            like = "%".join([_LIKE_SPECIAL.sub(r"\\\g<0>", part) for part in condition.parts])
            return f"{operand} LIKE {self._bind(like)}"
        operator = "=" if condition.operator == "==" else condition.operator
        return f"{operand} {operator} {self._bind(condition.value)}"

    def _bind(self, value: str | int) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{'Int64' if isinstance(value, int) else 'String'}}}"
