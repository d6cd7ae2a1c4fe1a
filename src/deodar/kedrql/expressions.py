"""What a filter means: its syntax tree, with every name resolved and every value typed.

Negated operators do not occur here: `!=` is `Not` of `==`, and `CONTAINS`, `STARTS` and `ENDS` are
patterns, as the KATA help defines them. Two trees that are equal mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from deodar.events import Field

Operator = Literal["==", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with a value: an int for an integer field, else a str."""

    field: Field
    operator: Operator
    value: str | int


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text field that must match parts in this order, with anything at all between two of them.

    There are two parts or more. Only the first and the last one may be empty: `("", "x", "")`
    finds texts that contain x, `("x", "")` those that start with it.
    """

    field: Field
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True where the term is false."""

    term: Expression


@dataclass(frozen=True, slots=True)
class And:
    """True where all terms are true. There are two or more."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True where any term is true. There are two or more."""

    terms: tuple[Expression, ...]


Expression = Comparison | Pattern | Not | And | Or


def fields(expression: Expression) -> frozenset[str]:
    """Return the names of all fields that the filter looks at."""
    names: set[str] = set()
    pending = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, Comparison | Pattern):
            names.add(node.field.name)
        elif isinstance(node, Not):
            pending.append(node.term)
        else:
            pending.extend(node.terms)
    return frozenset(names)
