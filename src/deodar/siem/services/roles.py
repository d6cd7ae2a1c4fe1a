"""The roles of API tokens."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a token may do."""

    VIEWER = "viewer"
    """Sees everything and changes nothing."""
    ADMINISTRATOR = "administrator"
    """Manages sets and services."""

    def covers(self, other: Role) -> bool:
        """Whether this role may do what needs the other."""
        return self is Role.ADMINISTRATOR or other is Role.VIEWER
