"""Errors of filters.

The tree::

    DeodarError
    └── KedrqlError      a filter that cannot be understood, with the place
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError

_BEFORE = 50
_AFTER = 20


class KedrqlError(DeodarError):
    """A filter cannot be used.

    `line` and `column` count from 1, in characters; `expected` names what could have stood there
    (empty where the text itself was in order). `str()` gives the reason, the line of the filter,
    and a caret under the place.
    """

    exit_code = 2

    def __init__(
        self, reason: str, text: str, position: int, expected: tuple[str, ...] = ()
    ) -> None:
        self.reason = reason
        self.expected = expected
        self.line = text.count("\n", 0, position) + 1
        start = text.rfind("\n", 0, position) + 1
        self.column = position - start + 1
        super().__init__(f"{self._head(text)}: {reason}\n{pointed(text, start, position)}")

    def _head(self, text: str) -> str:
        where = f"line {self.line}, column" if "\n" in text.strip() else "column"
        return f"filter, {where} {self.column}"


def pointed(text: str, start: int, position: int) -> str:
    """Return the part of the line around the position, with a caret below the position."""
    end = text.find("\n", position)
    first = max(start, position - _BEFORE)
    last = min(len(text) if end < 0 else end, position + _AFTER)
    shown = "".join(c if c.isprintable() else " " for c in text[first:last])
    return f"  {shown}\n  {' ' * (position - first)}^"
