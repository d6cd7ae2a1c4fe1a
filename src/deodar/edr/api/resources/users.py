"""Users: accounts with roles, managed by administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Page, Password, RoleName, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import documented
from deodar.edr.api.resources.api_tokens import ApiToken
from deodar.edr.api.services import ServicesOf
from deodar.edr.users.accounts import NAME, Users
from deodar.edr.users.api_tokens import ApiTokens
from deodar.edr.users.roles import Role
from deodar.edr.users.sessions import Sessions

router = APIRouter(prefix="/users", tags=["users"], dependencies=[requires(Role.ADMINISTRATOR)])

Name = Annotated[str, Path(max_length=64, description="The user's name.")]
NAMED = documented(404)
LAST = documented(404, 409)


class User(Told):
    """A user. Times are µs since the epoch, 0 for never."""

    name: str
    role: Role
    created_us: int
    password_us: int
    """When the password was last set."""
    disabled_us: int
    last_login_us: int


class NewUser(Asked):
    """A user to be."""

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    role: RoleName
    password: Password


class UserChange(Asked):
    """What shall be otherwise; what is left out stays."""

    role: RoleName | None = None
    disabled: bool | None = None


class NewPassword(Asked):
    """The password from now on."""

    password: Password


class Session(Told):
    """A session of a user. Times are µs since the epoch."""

    address: str
    client: str
    created_us: int
    used_us: int


@router.get("", responses=documented(400))
def list_users(services: ServicesOf, limit: Limit = LIMIT, after: After = "") -> Page[User]:
    """Return users by name."""
    begin = place(after, str)
    rows = Users(services.database).list(begin[0] if begin else "", limit + 1)
    return page([User.model_validate(row) for row in rows], limit, lambda row: (row.name,))


@router.post("", status_code=201, responses=documented(409))
def add_user(services: ServicesOf, given: NewUser) -> User:
    """Add a user."""
    made = Users(services.database).add(given.name, given.role, given.password)
    return User.model_validate(made)


@router.get("/{name}", responses=NAMED)
def show_user(services: ServicesOf, name: Name) -> User:
    """Return one user."""
    return User.model_validate(Users(services.database).find(name))


@router.patch("/{name}", responses=LAST)
def change_user(services: ServicesOf, name: Name, change: UserChange) -> User:
    """Give a user another role, or disable or enable them; their sessions end."""
    users = Users(services.database)
    return User.model_validate(users.change(name, role=change.role, disabled=change.disabled))


@router.delete("/{name}", status_code=204, responses=LAST)
def remove_user(services: ServicesOf, name: Name) -> None:
    """Remove a user with their sessions and API tokens; never the last administrator."""
    Users(services.database).remove(name)


@router.put("/{name}/password", status_code=204, responses=NAMED)
def set_user_password(services: ServicesOf, name: Name, given: NewPassword) -> None:
    """Give a user another password; their sessions end."""
    Users(services.database).set_password(name, given.password)


@router.post("/{name}/unlock", status_code=204, responses=NAMED)
def unlock_user(services: ServicesOf, name: Name) -> None:
    """Forget a user's failed logins."""
    Users(services.database).unlock(name)


@router.get("/{name}/sessions", responses=NAMED)
def list_user_sessions(services: ServicesOf, name: Name) -> list[Session]:
    """Return a user's sessions, the last used first."""
    found = Users(services.database).find(name)
    sessions = Sessions(services.database, services.installation.settings.sessions)
    return [Session.model_validate(row) for row in sessions.list(found.name)]


@router.delete("/{name}/sessions", status_code=204, responses=NAMED)
def end_user_sessions(services: ServicesOf, name: Name) -> None:
    """End all sessions of a user."""
    Users(services.database).end_sessions(name)


@router.get("/{name}/tokens", responses=NAMED)
def list_user_tokens(services: ServicesOf, name: Name) -> list[ApiToken]:
    """Return a user's API tokens, without their secrets."""
    found = Users(services.database).find(name)
    tokens = ApiTokens(services.database).list(found.name)
    return [ApiToken.model_validate(row) for row in tokens]


@router.delete("/{name}/tokens/{token}", status_code=204, responses=NAMED)
def revoke_user_token(
    services: ServicesOf,
    name: Name,
    token: Annotated[str, Path(max_length=64, description="Its id in the list.")],
) -> None:
    """End an API token of a user."""
    ApiTokens(services.database).revoke(token, name)
