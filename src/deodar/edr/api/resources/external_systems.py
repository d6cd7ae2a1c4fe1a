"""External systems and their requests to be let in."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path

from deodar.edr.api.access import requires
from deodar.edr.api.models import Asked, Page, Text, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import documented
from deodar.edr.api.services import Services, ServicesOf
from deodar.edr.external_systems import Register
from deodar.edr.progress import standings
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/external-systems", tags=["external systems"])

Name = Annotated[
    str,
    Path(max_length=128, description="Its id, its number, or 8 or more digits of its digest."),
]
NAMED = documented(404, 409)


class ExternalSystem(Told):
    """A system that fetches events, or asks to. Times are µs since the epoch, 0 for never."""

    number: int
    id: str
    ip: str
    digest: str
    """SHA-256 of its certificate."""
    state: Literal["pending", "accepted", "rejected"]
    name: str
    subject: str
    not_before_us: int
    not_after_us: int
    first_seen_us: int
    last_seen_us: int
    last_fetch_us: int
    decided_us: int
    last_seq: int
    """The last number in the event log that was scanned for it."""
    fetched_events: int
    """How many events it got in all."""
    behind_events: int | None = None
    """How many events there are above; null when that is not known, or it never fetched."""
    behind_seconds: float | None = None
    """The age of the first of these."""


class Acceptance(Asked):
    """How a system is let in."""

    name: Text = ""
    """A name for lists."""


@router.get("", dependencies=[requires(Role.AUDITOR)], responses=documented(400))
def list_external_systems(
    services: ServicesOf,
    state: Literal["pending", "accepted", "rejected"] | None = None,
    limit: Limit = LIMIT,
    after: After = "",
) -> Page[ExternalSystem]:
    """Return external systems and pending requests, in the order in which they first asked."""
    begin = place(after, int)
    known = standings(_register(services), services.parts.log, state)
    rows = sorted(known, key=lambda row: row.number)
    behind = [row for row in rows if begin is None or row.number > begin[0]]
    told = [ExternalSystem.model_validate(row) for row in behind[: limit + 1]]
    return page(told, limit, lambda row: (row.number,))


@router.post("/{name}/accept", dependencies=[requires(Role.ADMINISTRATOR)], responses=NAMED)
def accept_external_system(
    services: ServicesOf, name: Name, acceptance: Acceptance
) -> ExternalSystem:
    """Let a system fetch events. Compare the certificate's SHA-256 with its owner first."""
    return ExternalSystem.model_validate(_register(services).accept(name, acceptance.name))


@router.post("/{name}/reject", dependencies=[requires(Role.ADMINISTRATOR)], responses=NAMED)
def reject_external_system(services: ServicesOf, name: Name) -> ExternalSystem:
    """Refuse a system; it stays in the list."""
    return ExternalSystem.model_validate(_register(services).reject(name))


@router.delete("/{name}", dependencies=[requires(Role.ADMINISTRATOR)], responses=NAMED)
def delete_external_system(services: ServicesOf, name: Name) -> ExternalSystem:
    """Forget a system, and return what was known of it; its next request is a new one."""
    return ExternalSystem.model_validate(_register(services).delete(name))


def _register(services: Services) -> Register:
    return Register(services.database, services.installation.settings.external_systems)
