"""One's own API tokens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from deodar.edr.api.access import CurrentUser, in_session, requires
from deodar.edr.api.models import Asked, RoleName, Text, Told
from deodar.edr.api.problems import Refused, documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.users.api_tokens import LONGEST_DAYS, ApiTokens
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/tokens", tags=["API tokens"])

User = Annotated[CurrentUser, requires(Role.AUDITOR)]


class ApiToken(Told):
    """An API token without its secret. Times are µs since the epoch, 0 for never."""

    id: str
    user: str
    name: str
    role: Role
    created_us: int
    expires_us: int
    used_us: int


class NewApiToken(Told):
    """An API token with its secret, which is never shown again."""

    secret: str
    token: ApiToken


class Wish(Asked):
    """An API token to be."""

    name: Text
    """What it is for."""
    role: RoleName | None = None
    """Left out: one's own."""
    days: Annotated[float, Field(gt=0, le=LONGEST_DAYS)] = 90
    """How long it is good."""


@router.get("")
def list_tokens(services: ServicesOf, user: User) -> list[ApiToken]:
    """Return one's own API tokens."""
    tokens = ApiTokens(services.database).list(user.name)
    return [ApiToken.model_validate(row) for row in tokens]


@router.post("", status_code=201, responses=documented(404, 409))
def make_token(services: ServicesOf, user: User, wish: Wish) -> NewApiToken:
    """Make an API token of one's own role or a lower one. Needs a session, not another token."""
    role = wish.role or in_session(user).role
    if not in_session(user).role.covers(role):
        raise Refused(403, f"Forbidden: your role is {user.role}; a token cannot be {role}")
    made = ApiTokens(services.database).make(user.name, wish.name, role, wish.days)
    return NewApiToken.model_validate(made)


@router.delete("/{token}", status_code=204, responses=documented(404))
def revoke_token(
    services: ServicesOf,
    user: User,
    token: Annotated[str, Path(max_length=64, description="Its id in the list.")],
) -> None:
    """End one of one's own API tokens."""
    ApiTokens(services.database).revoke(token, user.name)
