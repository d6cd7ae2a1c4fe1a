"""Enrolment tokens: each lets one agent in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from deodar.edr import durations
from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Page, Text, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.enrolment import Endpoints
from deodar.edr.enrolment_tokens import EnrolmentTokens
from deodar.edr.errors import BadRequest
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/enrolment-tokens", tags=["endpoints"])

_LONGEST = 366 * 86_400


class EnrolmentToken(Told):
    """A token without its secret. Times are µs since the epoch."""

    id: str
    note: str
    created_us: int
    expires_us: int
    used_us: int | None
    agent_id: str | None
    """The agent that used it."""


class Wish(Asked):
    """An enrolment token to be."""

    valid: Annotated[str, Field(max_length=64)] = "P1D"
    """How long it is good, an ISO 8601 duration up to 366 days."""
    note: Text = ""
    """What or whom it is for."""
    url: Annotated[str, Field(max_length=512, pattern=r"^(https://\S+)?$")] = ""
    """The server's address for the agent; empty for the one that it knows itself."""
    group: Annotated[str, Field(max_length=64)] = "default"
    """The group that the endpoint will be in."""


class Invitation(Told):
    """A new token's text for the agent; it is never shown again."""

    token: str
    expires_us: int


@router.get("", dependencies=[requires(Role.AUDITOR)], responses=documented(400))
def list_enrolment_tokens(
    services: ServicesOf, limit: Limit = LIMIT, after: After = ""
) -> Page[EnrolmentToken]:
    """Return enrolment tokens, the newest first."""
    begin = place(after, int, str)
    behind = (begin[0], begin[1]) if begin else None
    rows = EnrolmentTokens(services.database).list(behind, limit + 1)
    told = [EnrolmentToken.model_validate(row) for row in rows]
    return page(told, limit, lambda row: (row.created_us, row.id))


@router.post(
    "",
    status_code=201,
    dependencies=[requires(Role.ADMINISTRATOR)],
    responses=documented(400, 404),
)
def make_enrolment_token(services: ServicesOf, wish: Wish) -> Invitation:
    """Make an enrolment token, good for one agent."""
    seconds = durations.parse(wish.valid)
    if not 0 < seconds <= _LONGEST:
        raise BadRequest(f"valid: '{wish.valid}' is not above 0 and up to 366 days")
    installation = services.installation
    url = wish.url or installation.url
    endpoints = Endpoints(services.database)
    made = endpoints.invite(url, installation.pin, seconds, wish.note, wish.group)
    return Invitation.model_validate(made)


@router.delete(
    "/{token}",
    status_code=204,
    dependencies=[requires(Role.ADMINISTRATOR)],
    responses=documented(404),
)
def revoke_enrolment_token(
    services: ServicesOf,
    token: Annotated[str, Path(max_length=64, description="Its id in the list.")],
) -> None:
    """Forget an enrolment token: no agent can use it any more."""
    EnrolmentTokens(services.database).revoke(token)
