"""Errors of the collector's pipeline.

The tree::

    SettingsError
    ├── FilterError         a filter cannot be understood, with the place in its text
    └── RuleError           a rule cannot be used: which one, which key, what to do
"""

from __future__ import annotations

from deodar.kedrql.errors import pointed
from deodar.kit.errors import SettingsError


class FilterError(SettingsError):
    """A filter cannot be used.

    `line` and `column` count from 1, in characters, for a filter as text; both are 0 for one in
    the form of nodes, of which `reason` begins with the path. `str()` gives the whole message.
    """

    def __init__(self, reason: str, text: str = "", position: int = -1) -> None:
        self.reason = reason
        self.line = text.count("\n", 0, position) + 1 if position >= 0 else 0
        start = text.rfind("\n", 0, max(position, 0)) + 1
        self.column = position - start + 1 if position >= 0 else 0
        if position < 0:
            super().__init__(f"filter, {reason}")
            return
        line = f"line {self.line}, " if "\n" in text.strip() else ""
        super().__init__(
            f"filter, {line}column {self.column}: {reason}\n{pointed(text, start, position)}"
        )


class RuleError(SettingsError):
    """An enrichment or aggregation rule cannot be used."""
