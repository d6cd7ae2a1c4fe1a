"""The audit trail: read and checked here, and changed by nothing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from deodar.edr.api.access import requires
from deodar.edr.api.models import Page, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import Refused, documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.audit import Trail, Wanted
from deodar.edr.audit_chain import Place
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/audit", tags=["audit"], dependencies=[requires(Role.AUDITOR)])

Chosen = Annotated[str, Query(max_length=256)]
Time = Annotated[int, Query(ge=0, le=2**62, description="µs since the epoch; 0 for any.")]


class Entry(Told):
    """One row of the trail."""

    number: int
    time_us: int
    user: str
    """Who did it: a user's name, an OS user of the host, an agent."""
    address: str
    """Where from; "local" for a command on the host."""
    action: str
    subject: str
    details: str
    before: str
    after: str
    hash: str
    """Covers this row and the one before it."""


class Verdict(Told):
    """What came of a check of the chain."""

    rows: int
    number: int
    """The last row's; note it with its hash, for a later check."""
    hash: str
    problem: str
    """Empty when the trail is as it was written."""


@router.get("", responses=documented(400))
def list_audit(
    services: ServicesOf,
    user: Chosen = "",
    action: Chosen = "",
    subject: Chosen = "",
    since_us: Time = 0,
    until_us: Time = 0,
    limit: Limit = LIMIT,
    after: After = "",
) -> Page[Entry]:
    """Return entries, the newest first; `action` is how the action begins."""
    begin = place(after, int)
    wanted = Wanted(user, action, subject, since_us, until_us)
    rows = Trail(services.database).list(wanted, begin[0] if begin else 0, limit + 1)
    return page([Entry.model_validate(row) for row in rows], limit, lambda row: (row.number,))


@router.get("/verification")
def verify_audit(
    services: ServicesOf,
    number: Annotated[int, Query(ge=0, le=2**62)] = 0,
    hash_: Annotated[str, Query(alias="hash", max_length=64)] = "",
) -> Verdict:
    """Check the whole chain, and that it has the row that `number` and `hash` tell of, if any."""
    if bool(number) != bool(hash_):
        raise Refused(422, "number and hash: give both, or neither")
    noted = Place(number, hash_) if number else None
    if not services.verifying.acquire(blocking=False):
        raise Refused(503, "Service Unavailable: another check of the trail is running", 10)
    try:
        return Verdict.model_validate(Trail(services.database).verify(noted))
    finally:
        services.verifying.release()
