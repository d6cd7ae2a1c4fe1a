"""One's own session: logging in and out, and one's own password."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from deodar.edr import web
from deodar.edr.api.access import COOKIE, CurrentUser, anybody, in_session, requires
from deodar.edr.api.models import Asked, Password, Told
from deodar.edr.api.problems import documented
from deodar.edr.api.services import Services, ServicesOf
from deodar.edr.users.login import Login
from deodar.edr.users.roles import Role
from deodar.edr.users.sessions import Sessions

router = APIRouter(prefix="/session", tags=["session"])

User = Annotated[CurrentUser, requires(Role.AUDITOR)]
BUSY = documented(429)


class Credentials(Asked):
    """A user's name and password."""

    name: Annotated[str, Field(max_length=256)]
    password: Annotated[str, Field(max_length=1024)]


class PasswordChange(Asked):
    """The password until now, and the one from now on."""

    old: Annotated[str, Field(max_length=1024)]
    new: Password


class LoggedIn(Told):
    """A session that has begun; its secret is in the cookie."""

    name: str
    role: Role
    csrf_token: str
    """To be sent as X-CSRF-Token with every request that changes something."""
    ends_us: int
    idle_seconds: float
    """It ends earlier when it is not used for so long."""


class Who(Told):
    """Who asks, and how they showed it."""

    name: str
    role: Role
    api_token: str | None
    """The id of the API token that was shown."""
    csrf_token: str | None
    """Of a session."""


@router.post("", dependencies=[anybody()], responses=BUSY)
def log_in(
    services: ServicesOf, request: Request, response: Response, given: Credentials
) -> LoggedIn:
    """Log in with a name and a password; after failures it takes a growing time.

    The answer sets the session's cookie, which pages cannot read.
    """
    client = request.headers.get("user-agent", "")
    made = _login(services).log_in(given.name, given.password, web.address(request), client)
    response.set_cookie(
        COOKIE, made.secret, path="/", secure=True, httponly=True, samesite="strict"
    )
    return LoggedIn(
        name=made.identity.name,
        role=made.identity.role,
        csrf_token=made.identity.csrf,
        ends_us=made.ends_us,
        idle_seconds=services.installation.settings.sessions.idle,
    )


@router.get("")
def show_session(user: User) -> Who:
    """Return who asks, also for an API token."""
    return Who(
        name=user.name,
        role=user.role,
        api_token=user.token or None,
        csrf_token=user.csrf or None,
    )


@router.delete("", status_code=204)
def log_out(services: ServicesOf, user: User, response: Response) -> None:
    """End this session."""
    session = in_session(user).session
    Sessions(services.database, services.installation.settings.sessions).end(session)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


@router.put("/password", status_code=204, responses=BUSY)
def change_own_password(
    services: ServicesOf, user: User, request: Request, change: PasswordChange
) -> None:
    """Give oneself another password; all one's sessions end, this one too."""
    name = in_session(user).name
    _login(services).change_password(name, change.old, change.new, web.address(request))


def _login(services: Services) -> Login:
    return Login(services.database, services.installation.settings.sessions)
