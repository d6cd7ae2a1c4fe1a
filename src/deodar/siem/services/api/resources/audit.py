"""The audit trail of sets and services."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from deodar.siem.services import audit
from deodar.siem.services.api.access import VIEWER, CoreOf
from deodar.siem.services.api.models import Told

router = APIRouter(prefix="/audit", tags=["audit"])


class AuditRow(Told):
    """One change, or what the core noticed of a service; `time_us` is µs since the epoch."""

    number: int
    time_us: int
    user: str
    address: str
    action: str
    subject: str
    details: str


@router.get("", dependencies=VIEWER)
def list_audit(
    core: CoreOf,
    limit: Annotated[int, Query(ge=1, le=audit.MOST)] = 100,
    before: Annotated[
        int, Query(ge=0, le=2**62, description="`number` of the last row of the part before.")
    ] = 0,
) -> list[AuditRow]:
    """Return the newest rows first."""
    return [AuditRow.model_validate(row) for row in audit.latest(core.database, limit, before)]
