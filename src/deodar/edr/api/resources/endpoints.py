"""Endpoints: hosts with an enrolled agent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from deodar.edr import endpoint_page, fleet
from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Page, Text, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import documented
from deodar.edr.api.services import Services, ServicesOf
from deodar.edr.enrolment import Endpoints
from deodar.edr.fleet import MOST_TAGS, Presence
from deodar.edr.live_settings import SettingsStore
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/endpoints", tags=["endpoints"])

Tag = Annotated[str, Field(max_length=63)]
Agent = Annotated[str, Path(max_length=256, description="The agent's id, or its host's name.")]


class Search(BaseModel):
    """Which endpoints are wanted."""

    presence: Presence | None = None
    """How they stand."""
    group: Annotated[str | None, Field(max_length=64)] = None
    tag: Annotated[str | None, Field(max_length=63)] = None
    name: Annotated[str | None, Field(max_length=256)] = None
    """Of the host, the agent's id, or the address; an asterisk is any text."""
    drifts: bool | None = None
    """Whether they follow another policy than they must."""


class Endpoint(Told):
    """One host. Times are µs since the epoch, 0 for never."""

    agent_id: str
    digest: str
    """SHA-256 of its certificate."""
    state: Literal["enrolled", "revoked"]
    name: str
    os_name: str
    os_version: str
    machine_id: str
    agent_version: str
    address: str
    enrolled_us: int
    last_contact_us: int
    synchronized_us: int
    policy_version: int
    """Of the policy that its agent follows; 0 for none."""
    stopped_tasks: str
    group_name: str
    tags: tuple[str, ...]
    not_after_us: int
    """Until when its certificate is good; 0 if that is not known."""
    renewed_us: int
    revoked_us: int
    revoked_reason: str
    replaces: str
    """The agent that was enrolled on this host before; "" for none."""
    presence: Presence
    """How it stands; offline after some of its synchronization periods without a word."""
    wanted_policy: int
    """The version that its agent must follow."""
    drifts: bool
    """Whether that is another one than it follows."""


class Revocation(Asked):
    """Why an endpoint is shut out."""

    reason: Text = ""


class Move(Asked):
    """Where an endpoint shall be."""

    group: Annotated[str, Field(max_length=64)]


class Tags(Asked):
    """Tags to give and to take."""

    add: Annotated[tuple[Tag, ...], Field(max_length=MOST_TAGS, strict=False)] = ()
    remove: Annotated[tuple[Tag, ...], Field(max_length=MOST_TAGS, strict=False)] = ()


class Counts(Told):
    """How many endpoints stand how."""

    online: int
    offline: int
    never: int
    revoked: int


class EndpointPage(Told):
    """One host with all that its agent last reported."""

    endpoint: Endpoint
    report: dict[str, Any] | None
    clock_behind_seconds: float | None


@router.get("", dependencies=[requires(Role.AUDITOR)], responses=documented(400))
def list_endpoints(
    services: ServicesOf,
    search: Annotated[Search, Query()],
    limit: Limit = LIMIT,
    after: After = "",
) -> Page[Endpoint]:
    """Return endpoints in the order of their enrolment."""
    begin = place(after, int, str)
    behind = (begin[0], begin[1]) if begin else None
    rows = _fleet(services).select(fleet.Query(**search.model_dump()), limit + 1, behind)
    told = [Endpoint.model_validate(row) for row in rows]
    return page(told, limit, lambda row: (row.enrolled_us, row.agent_id))


@router.get("/counts", dependencies=[requires(Role.AUDITOR)])
def count_endpoints(services: ServicesOf) -> Counts:
    """Return how many endpoints stand how."""
    return Counts(**_fleet(services).counts())


@router.get("/{agent}", dependencies=[requires(Role.AUDITOR)], responses=documented(404, 409))
def show_endpoint(services: ServicesOf, agent: Agent) -> EndpointPage:
    """Return one endpoint with the report of its last synchronization."""
    found = _found(services, agent)
    report = Endpoints(services.database).report(found.agent_id)
    return EndpointPage.model_validate(endpoint_page.page(found, report))


@router.post(
    "/{agent}/revoke", dependencies=[requires(Role.ADMINISTRATOR)], responses=documented(404)
)
def revoke_endpoint(
    services: ServicesOf, agent: Agent, revocation: Revocation | None = None
) -> Endpoint:
    """Shut an agent out from its next request on; here only its id is taken."""
    reason = revocation.reason if revocation else ""
    Endpoints(services.database).revoke(agent, reason)
    return Endpoint.model_validate(_fleet(services).get(agent))


@router.put(
    "/{agent}/group", dependencies=[requires(Role.ADMINISTRATOR)], responses=documented(404, 409)
)
def move_endpoint(services: ServicesOf, agent: Agent, move: Move) -> Endpoint:
    """Put an endpoint into a group, whose policy it gets when it next synchronizes."""
    found = _found(services, agent)
    return Endpoint.model_validate(_fleet(services).move(found.agent_id, move.group))


@router.post(
    "/{agent}/tags",
    dependencies=[requires(Role.SENIOR_SECURITY_OFFICER)],
    responses=documented(404, 409),
)
def tag_endpoint(services: ServicesOf, agent: Agent, tags: Tags) -> Endpoint:
    """Give an endpoint tags, or take them."""
    found = _found(services, agent)
    changed = _fleet(services).tag(found.agent_id, tags.add, tags.remove)
    return Endpoint.model_validate(changed)


def _fleet(services: Services) -> fleet.Fleet:
    settings = SettingsStore(services.database, services.installation.settings).in_force()
    return fleet.Fleet(services.database, settings.fleet.offline_periods)


def _found(services: Services, agent: str) -> fleet.Member:
    found = Endpoints(services.database).find(agent)
    return _fleet(services).get(found.agent_id)
