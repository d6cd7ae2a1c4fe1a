"""Errors of the agent's own events.

The tree::

    DeodarError
    └── JournalError     exit code 65: the file of events cannot be read
        └── QueryError   exit code 1: a query that cannot be understood, with the place
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError

_BEFORE = 50
_AFTER = 20


class JournalError(DeodarError):
    """The file of events is missing, damaged, or none of Deodar's."""

    exit_code = 65


class QueryError(JournalError):
    """A query cannot be used.

    `column` counts from 1, in characters; `expected` says what could have stood there ("" where the
    text itself was in order). `str()` gives the reason, the query, and a caret under the place.
    """

    exit_code = 1

    def __init__(self, reason: str, text: str, position: int, expected: str = "") -> None:
        self.reason = reason
        self.column = position + 1
        self.expected = expected
        wanted = f"; expected {expected}" if expected else ""
        super().__init__(f"query, column {self.column}: {reason}{wanted}\n{_place(text, position)}")


def _place(text: str, position: int) -> str:
    """Return the query around the position, with a caret below the position."""
    first = max(0, position - _BEFORE)
    near = text[first : position + _AFTER]
    shown = "".join(c if c.isprintable() else " " for c in near)
    return f"  {shown}\n  {' ' * (position - first)}^"
