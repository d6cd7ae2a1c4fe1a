"""Endpoints: hosts with an enrolled agent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path

from deodar.edr import endpoint_page
from deodar.edr.api.access import requires
from deodar.edr.api.models import Page, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.enrolment import Endpoints
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/endpoints", tags=["endpoints"])

Agent = Annotated[str, Path(max_length=256, description="The agent's id, or its host's name.")]


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
    stopped_tasks: str


class EndpointPage(Told):
    """One host with all that its agent last reported."""

    endpoint: Endpoint
    report: dict[str, Any] | None
    clock_behind_seconds: float | None


@router.get("", dependencies=[requires(Role.AUDITOR)], responses=documented(400))
def list_endpoints(services: ServicesOf, limit: Limit = LIMIT, after: After = "") -> Page[Endpoint]:
    """Return endpoints in the order of their enrolment."""
    begin = place(after, int, str)
    rows = Endpoints(services.database).list()
    behind = [row for row in rows if begin is None or (row.enrolled_us, row.agent_id) > begin]
    told = [Endpoint.model_validate(row) for row in behind[: limit + 1]]
    return page(told, limit, lambda row: (row.enrolled_us, row.agent_id))


@router.get("/{agent}", dependencies=[requires(Role.AUDITOR)], responses=documented(404, 409))
def show_endpoint(services: ServicesOf, agent: Agent) -> EndpointPage:
    """Return one endpoint with the report of its last synchronization."""
    endpoints = Endpoints(services.database)
    found = endpoints.find(agent)
    told = endpoint_page.page(found, endpoints.report(found.agent_id))
    return EndpointPage.model_validate(told)


@router.post(
    "/{agent}/revoke", dependencies=[requires(Role.ADMINISTRATOR)], responses=documented(404)
)
def revoke_endpoint(services: ServicesOf, agent: Agent) -> Endpoint:
    """Shut an agent out from its next request on; here only its id is taken."""
    return Endpoint.model_validate(Endpoints(services.database).revoke(agent))
