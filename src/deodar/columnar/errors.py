"""Errors of the columnar package.

The tree::

    DeodarError
    └── ColumnarError
        ├── SpecError       a mapping contradicts itself; the text names the column and the rule
        ├── EnvelopeError   a response body is not an envelope of events; has `where` and `reason`
        └── Refused         one event cannot become a row; has `path` and `reason`
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class ColumnarError(DeodarError):
    """Base of the errors of this package."""


class SpecError(ColumnarError):
    """A mapping contradicts itself; the text names the column and the rule."""


class EnvelopeError(ColumnarError):
    """A response body cannot be read as an envelope of events."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"bad envelope at {where}: {reason}")
        self.where = where
        self.reason = reason


class Refused(ColumnarError):  # noqa: N818  (it is an outcome, named as the reader will say it)
    """One event cannot become a row."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{reason} at {path or 'the event'}")
        self.path = path
        self.reason = reason
