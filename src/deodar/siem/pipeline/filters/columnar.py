"""A filter on a whole batch, by Arrow kernels.

Where a kernel does what the operator's own test does, it is used; else the test runs once for each
distinct value. Terms that come behind a decision for all events are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deodar.siem.pipeline.fields import ARROW
from deodar.siem.pipeline.filters.expressions import And, Condition, Expression, Not
from deodar.siem.pipeline.filters.interpreter import pair_test, value_test

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.siem.pipeline.filters.operators import Tables, Test
    from deodar.siem.pipeline.frame import EventFrame, Mask

    Evaluate = Callable[[EventFrame], Mask]

_FEW_PATTERNS = 8  # beyond that one walk over the distinct values costs less


def compiled(expression: Expression, tables: Tables) -> Evaluate:
    """Return the function that tells which events of a frame meet a filter.

    Raises ValueError when a dictionary that it asks is not there.
    """
    if isinstance(expression, Condition):
        return _condition(expression, tables)
    if isinstance(expression, Not):
        term = compiled(expression.term, tables)
        return lambda frame: ~term(frame)
    terms = [compiled(term, tables) for term in expression.terms]
    return _all(terms) if isinstance(expression, And) else _any(terms)


def _all(terms: Sequence[Evaluate]) -> Evaluate:
    def evaluate(frame: EventFrame) -> Mask:
        mask = terms[0](frame)
        for term in terms[1:]:
            if not mask.any():
                break
            mask = mask & term(frame)
        return mask

    return evaluate


def _any(terms: Sequence[Evaluate]) -> Evaluate:
    def evaluate(frame: EventFrame) -> Mask:
        mask = terms[0](frame)
        for term in terms[1:]:
            if mask.all():
                break
            mask = mask | term(frame)
        return mask

    return evaluate


def _condition(condition: Condition, tables: Tables) -> Evaluate:
    if condition.other is not None:
        return _pair(condition)
    kernel = _kernel(condition)
    if kernel is None:
        test = value_test(condition, tables)
        return lambda frame: _by_distinct(frame.read(condition.field), test)
    return lambda frame: _mask(kernel(frame.read(condition.field)))


def _mask(array: pa.Array) -> Mask:
    mask: Mask = array.to_numpy(zero_copy_only=False)
    return mask


def _by_distinct(column: pa.Array, test: Test) -> Mask:
    if pa.types.is_list(column.type):
        return np.fromiter(map(test, column.to_pylist()), bool, len(column))
    encoded = column.dictionary_encode()
    answers = np.fromiter(map(test, encoded.dictionary.to_pylist()), bool, len(encoded.dictionary))
    mask: Mask = answers[encoded.indices.to_numpy()]
    return mask


def _kernel(condition: Condition) -> Callable[[pa.Array], pa.Array] | None:
    """Return the kernel that does the same as the operator's test, None if there is none."""
    kind, values = condition.field.kind, condition.values
    if kind == "strings" or (len(values) > _FEW_PATTERNS and condition.operator != "="):
        return None
    if condition.operator == "=" and not condition.ignore_case:
        return _equal(kind, values)
    if (
        condition.operator in _ORDER
        and kind == "integer"
        and all(isinstance(value, int) for value in values)
    ):
        order = _ORDER[condition.operator]
        return _each(values, lambda column, value: order(column, pa.scalar(value, pa.int64())))
    if condition.operator in _PART and not condition.ignore_case:
        part = _PART[condition.operator]
        return _each(values, lambda column, value: part(column, pattern=value))
    if condition.operator == "match":
        ignore = condition.ignore_case
        return _each(
            values,
            lambda column, value: pc.match_substring_regex(column, value, ignore_case=ignore),
        )
    return None


def _equal(kind: Any, values: Sequence[Any]) -> Callable[[pa.Array], pa.Array]:
    if len(values) == 1 or kind == "float":
        return _each(values, lambda column, value: pc.equal(column, pa.scalar(value, column.type)))
    wanted = pa.array(values, ARROW[kind])
    return lambda column: pc.is_in(column, wanted)


def _each(
    values: Sequence[Any], kernel: Callable[[pa.Array, Any], pa.Array]
) -> Callable[[pa.Array], pa.Array]:
    def evaluate(column: pa.Array) -> pa.Array:
        found = kernel(column, values[0])
        for value in values[1:]:
            found = pc.or_(found, kernel(column, value))
        return found

    return evaluate


def _pair(condition: Condition) -> Evaluate:
    test, left, right = pair_test(condition), condition.field, condition.other
    assert right is not None  # noqa: S101  the caller has looked

    def evaluate(frame: EventFrame) -> Mask:
        values = frame.read(left).to_pylist(), frame.read(right).to_pylist()
        return np.fromiter(map(test, *values), bool, len(frame))

    return evaluate


_ORDER: dict[str, Callable[[pa.Array, pa.Scalar], pa.Array]] = {
    "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip
_PART: dict[str, Callable[..., pa.Array]] = {
    "contains": pc.match_substring, "startsWith": pc.starts_with, "endsWith": pc.ends_with,
}  # fmt: skip
