"""Who may use an operation: the least role, declared beside it.

``user: Annotated[CurrentUser, requires(Role.AUDITOR)]`` as a parameter, or
``dependencies=[requires(Role.ADMINISTRATOR)]`` when the user does not matter otherwise. The gate
has found out who asks; here it is only compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Depends, Request

from deodar.edr.api.problems import Refused
from deodar.edr.users.identity import Identity
from deodar.edr.users.roles import Role

CurrentUser = Identity
"""Who asks, as operations get it."""
COOKIE = "__Host-deodar"
"""Carries a session's secret; its name makes browsers insist on Secure and on this host."""
WHO = "deodar.identity"
"""Where the gate puts it into the scope."""


UNKNOWN = "Unauthorized: log in, or show an API token as Authorization: Bearer"


class Anybody:
    """A dependency that says that an operation is for those too who are not known yet."""

    def __call__(self) -> None:
        """Let everybody in."""


class Requires:
    """A dependency that lets in users of a role, and of those above it."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, request: Request) -> CurrentUser:
        """Return who asks; raises Refused."""
        user: CurrentUser | None = request.scope.get(WHO)
        if user is None:
            raise Refused(401, UNKNOWN)
        if not user.role.covers(self.role):
            raise Refused(403, f"Forbidden: this needs the role {self.role}; yours is {user.role}")
        return user


def anybody() -> Any:
    """Return the dependency for an operation that needs no user."""
    return Depends(Anybody())


def in_session(user: CurrentUser) -> CurrentUser:
    """Return the user of a session; raises Refused when an API token was shown.

    What is gained with a token must not outlast it.
    """
    if not user.session:
        raise Refused(403, "Forbidden: log in for that; an API token cannot do it")
    return user


def path_of(scope: Mapping[str, Any]) -> str:
    """Return a request's path below where the API is mounted."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def requires(role: Role) -> Any:
    """Return the dependency for an operation that needs at least this role."""
    return Depends(Requires(role))
