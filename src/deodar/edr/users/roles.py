"""The roles of users. Each may do all that those below it may, so a role is also a limit.

The names are those of KATA's accounts. What a role is for, and what it may do in the end, is said
where it is asked for: each resource of the REST API names the least role that may use it.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A role, from the one that may do least to the one that may do all."""

    AUDITOR = "auditor"
    """Sees everything, the audit trail too, and changes nothing."""
    SECURITY_OFFICER = "security_officer"
    """Works on detects and asks endpoints for files and facts."""
    SENIOR_SECURITY_OFFICER = "senior_security_officer"
    """Acts on endpoints: isolation, prevention, tasks, rules."""
    ADMINISTRATOR = "administrator"
    """Manages the server: users, external systems, enrolment, policies, settings."""

    def covers(self, other: Role) -> bool:
        """Whether this role may do what needs the other."""
        return _RANK[self] >= _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}


def lower(one: Role, other: Role) -> Role:
    """Return the role of the two that may do less."""
    return other if one.covers(other) else one
