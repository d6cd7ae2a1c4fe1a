"""What is known of an endpoint: a host with an enrolled agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select

from deodar.edr.tables import endpoints

if TYPE_CHECKING:
    from sqlalchemy import Row

ENROLLED, REVOKED = "enrolled", "revoked"
DEFAULT_GROUP = "default"


class Endpoint(msgspec.Struct, frozen=True):
    """One enrolled host. Times are µs, 0 for never."""

    agent_id: str
    digest: str
    state: str
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
    """Of the policy that the agent followed when it last synchronized; 0 for none."""
    stopped_tasks: str
    """Which of the tasks that keep telemetry going the agent reported as stopped then."""
    group_name: str
    tags: tuple[str, ...]
    not_after_us: int
    """Until when its certificate is good; 0 if that is not known."""
    next_digest: str | None
    """Of a renewed certificate that the agent has not shown yet."""
    next_not_after_us: int
    renewed_us: int
    revoked_us: int
    revoked_reason: str
    replaces: str
    """The id of the agent that was enrolled on the same host before, "" for none."""


# All but the report, which is read for one endpoint at a time.
SELECT = select(*(endpoints.c[name] for name in Endpoint.__struct_fields__))


def as_endpoint(row: Row[Any]) -> Endpoint:
    """Return a row of `SELECT` as an endpoint."""
    found = dict(row._mapping)  # SQLAlchemy's public name for it
    found["tags"] = tuple(tag for tag in found["tags"].split(",") if tag)
    return Endpoint(**found)
