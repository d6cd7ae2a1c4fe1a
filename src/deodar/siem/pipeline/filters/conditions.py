"""Making a condition of its parts, whatever form they were written in, with every check on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from deodar.siem.pipeline.fields import FieldRef, field
from deodar.siem.pipeline.filters.constants import TEXTS
from deodar.siem.pipeline.filters.expressions import Condition, Expression, Not, Value
from deodar.siem.pipeline.filters.operators import NUMBERS, OPERATORS, operator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.siem.pipeline.filters.operators import Operator

Part = Literal["field", "operator", "value"]
_CASELESS = ("=", "contains", "startsWith", "endsWith", "match", "intersect")
MAX_VALUES = 10_000
T = TypeVar("T")


class Misfit(Exception):  # noqa: N818  never seen by a user: readers turn it into FilterError
    """A part of a condition does not fit; `part` says which, `index` which of several values."""

    def __init__(self, part: Part, reason: str, index: int = 0) -> None:
        super().__init__(reason)
        self.part, self.reason, self.index = part, reason, index


def condition(
    name: str, word: str, right: Sequence[Value] | str, *, ignore_case: bool = False
) -> Expression:
    """Return the condition; `right` are constants, or the name of another field.

    Raises Misfit.
    """
    left = _at("field", lambda: field(name))
    known, negative = _at("operator", lambda: operator(word))
    made = OPERATORS[known]
    if left.kind not in made.kinds:
        kinds = "text" if made.kinds == TEXTS else " or ".join(made.kinds)
        raise Misfit("operator", f"{known} needs a field of kind {kinds}; {name} is {left.kind}")
    if ignore_case and (known not in _CASELESS or left.kind in NUMBERS):
        raise Misfit("operator", f"ignoreCase has no meaning for {word} and {name}")
    if isinstance(right, str):
        found: Expression = _with_field(left, made, right, ignore_case=ignore_case)
    else:
        found = Condition(left, known, _values(left, made, right), ignore_case=ignore_case)
    return Not(found) if negative else found


def _values(left: FieldRef, made: Operator, right: Sequence[Value]) -> tuple[Value, ...]:
    if not right:
        raise Misfit("value", "an empty list is met by no event")
    if len(right) > MAX_VALUES:
        raise Misfit("value", f"a list has at most {MAX_VALUES} values; use a dictionary")
    if len(right) > 1 and made.name == "inDictionary":
        raise Misfit("value", "inDictionary takes one name of a dictionary", 1)
    values: list[Value] = []
    for index, value in enumerate(right):
        try:
            values.append(made.value(value, left.kind))
        except ValueError as error:
            raise Misfit("value", str(error), index) from error
    return tuple(values)


def _with_field(left: FieldRef, made: Operator, name: str, *, ignore_case: bool) -> Condition:
    if made.compare is None:
        raise Misfit("value", f"{made.name} takes constants, written in quotes: '{name}'")
    other = _at("value", lambda: field(name), f"; a text is written in quotes: '{name[:64]}'")
    if "strings" in (left.kind, other.kind):
        raise Misfit("value", "lists are compared with constants only")
    if (left.kind in NUMBERS) != (other.kind in NUMBERS):
        raise Misfit("value", f"{left.name} is {left.kind}, but {other.name} is {other.kind}")
    return Condition(left, made.name, (), other, ignore_case)


def _at(part: Part, read: Callable[[], T], more: str = "") -> T:
    try:
        return read()
    except ValueError as error:
        raise Misfit(part, f"{error}{more}") from error
