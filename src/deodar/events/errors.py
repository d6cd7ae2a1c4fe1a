"""Errors of the event vocabulary.

The tree::

    DeodarError
    └── EventError      bytes that are no event, or an event that cannot be written
"""

from __future__ import annotations

from deodar.kit.errors import DeodarError


class EventError(DeodarError):
    """An event cannot be read or written; `path` says where in it, `reason` says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"event: {path}: {reason}" if path else f"event: {reason}")
        self.path = path
        self.reason = reason
