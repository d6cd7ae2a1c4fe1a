"""What a filter means: its syntax tree, with every field resolved and every value typed.

``!=`` does not occur here: it is `Not` of ``=``. A condition with several values is true when it is
for one of them, but ``hasBit``, which needs every bit. Two trees that are equal mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.siem.pipeline.fields import FieldRef

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with constants, or with `other`, a field of the same event.

    `operator` is a name of `deodar.siem.pipeline.filters.operators`. For ``inDictionary`` the one
    value is the dictionary's name.
    """

    field: FieldRef
    operator: str
    values: tuple[Value, ...] = ()
    other: FieldRef | None = None
    ignore_case: bool = False


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


Expression = Condition | Not | And | Or


def negated(term: Expression) -> Expression:
    """Return the opposite of a term; two negations are none, so that no tree grows by them."""
    return term.term if isinstance(term, Not) else Not(term)


def conditions(expression: Expression) -> Iterator[Condition]:
    """Yield the conditions of a filter in the order of its text."""
    if isinstance(expression, Condition):
        yield expression
    elif isinstance(expression, Not):
        yield from conditions(expression.term)
    else:
        for term in expression.terms:
            yield from conditions(term)


def dictionaries(expression: Expression) -> frozenset[str]:
    """Return the names of the dictionaries that a filter asks."""
    asked = (one for one in conditions(expression) if one.operator == "inDictionary")
    return frozenset(str(one.values[0]) for one in asked)
