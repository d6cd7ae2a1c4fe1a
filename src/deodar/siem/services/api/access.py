"""Who may use an operation: declared beside it as `dependencies=[requires(Role.…)]`."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Request

from deodar.siem.errors import ApiRefused
from deodar.siem.services.api_tokens import ApiToken
from deodar.siem.services.core import ServiceCore
from deodar.siem.services.roles import Role

WHO = "deodar.token"
"""Where the gate puts the token that was shown into the scope."""
UNKNOWN = "show an API token as Authorization: Bearer; make one with: deodar siem api-token create"


class Requires:
    """A dependency that lets in tokens of a role, and of those above it."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, request: Request) -> None:
        """Raise ApiRefused unless the token may."""
        token: ApiToken | None = request.scope.get(WHO)
        if token is None:
            raise ApiRefused(401, UNKNOWN)
        if not token.role.covers(self.role):
            raise ApiRefused(403, f"this needs the role {self.role}; the token's is {token.role}")


def requires(role: Role) -> Any:
    """Return the dependency for an operation that needs at least this role."""
    return Depends(Requires(role))


def _core(request: Request) -> ServiceCore:
    return cast("ServiceCore", request.app.state.core)


CoreOf = Annotated[ServiceCore, Depends(_core)]
"""The type of an operation's parameter that gets the core's parts."""
VIEWER = [requires(Role.VIEWER)]
ADMINISTRATOR = [requires(Role.ADMINISTRATOR)]
