"""Who may use an operation: the least role, declared beside it.

``user: Annotated[CurrentUser, requires(Role.AUDITOR)]`` as a parameter, or
``dependencies=[requires(Role.ADMINISTRATOR)]`` when the user does not matter otherwise. The gate
has found out who asks; here it is only compared.
"""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request

from deodar.edr.api.problems import Refused
from deodar.edr.users.identity import Identity
from deodar.edr.users.roles import Role

CurrentUser = Identity
"""Who asks, as operations get it."""
WHO = "deodar.identity"
"""Where the gate puts it into the scope."""


class Requires:
    """A dependency that lets in users of a role, and of those above it."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, request: Request) -> CurrentUser:
        """Return who asks; raises Refused."""
        user: CurrentUser | None = request.scope.get(WHO)
        if user is None:
            raise Refused(
                401, "Unauthorized: log in, or show an API token as Authorization: Bearer"
            )
        if not user.role.covers(self.role):
            raise Refused(403, f"Forbidden: this needs the role {self.role}; yours is {user.role}")
        return user


def requires(role: Role) -> Any:
    """Return the dependency for an operation that needs at least this role."""
    return Depends(Requires(role))
