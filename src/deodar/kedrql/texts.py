"""Conditions on one text, as functions. The order of texts is that of their UTF-8 bytes."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from deodar.kedrql.expressions import Comparison, Pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.kedrql.expressions import Operator

COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""What an operator of a filter means in Python. Texts compare by code points, which gives the same
order as their UTF-8 bytes."""


def text_test(condition: Comparison | Pattern) -> Callable[[str], bool]:
    """Return the function that tells whether a text meets the condition."""
    if isinstance(condition, Pattern):
        return _pattern_test(condition.parts)
    compare, value = COMPARE[condition.operator], condition.value
    return lambda text: compare(text, value)


def _pattern_test(parts: tuple[str, ...]) -> Callable[[str], bool]:
    first, *middle, last = parts
    if not middle:
        return _ends_test(first, last)
    if len(middle) == 1 and not first and not last:
        needle = middle[0]
        return lambda text: needle in text
    return _ordered_test(first, middle, last)


def _ends_test(first: str, last: str) -> Callable[[str], bool]:
    """Return a test for `first*last`; the two must not overlap."""
    if not last:
        return lambda text: text.startswith(first)
    if not first:
        return lambda text: text.endswith(last)
    shortest = len(first) + len(last)
    return lambda text: len(text) >= shortest and text.startswith(first) and text.endswith(last)


def _ordered_test(first: str, middle: list[str], last: str) -> Callable[[str], bool]:
    """Return a test that takes each part at its first place after the one before: linear time."""

    def test(text: str) -> bool:
        if not (text.startswith(first) and text.endswith(last)):
            return False
        position, end = len(first), len(text) - len(last)
        for part in middle:
            found = text.find(part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return position <= end

    return test
