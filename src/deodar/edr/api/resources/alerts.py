"""Alerts: what was found."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from deodar.edr import alerts as store
from deodar.edr.api.access import requires
from deodar.edr.api.models import Page, Told
from deodar.edr.api.paging import LIMIT, After, Limit, page, place
from deodar.edr.api.problems import documented
from deodar.edr.api.services import ServicesOf
from deodar.edr.users.roles import Role

router = APIRouter(prefix="/alerts", tags=["alerts"], dependencies=[requires(Role.AUDITOR)])


class Alert(Told):
    """One alert. Times are µs since the epoch."""

    number: int
    event_us: int
    detect_us: int
    importance: store.Importance
    source: store.Source
    technology: store.Technology
    object_type: store.ObjectType
    object: dict[str, Any]
    detection: dict[str, Any]
    details: dict[str, Any]


@router.get("", responses=documented(400))
def list_alerts(
    services: ServicesOf,
    technology: Annotated[list[store.Technology] | None, Query()] = None,
    limit: Limit = LIMIT,
    after: After = "",
) -> Page[Alert]:
    """Return alerts, the newest first."""
    begin = place(after, int)
    before = max(1, min(begin[0], 1 << 62)) if begin else 0
    rows = store.Alerts(services.database).before(before, limit + 1, technology or ())
    told = [Alert.model_validate(row) for row in rows]
    return page(told, limit, lambda alert: (alert.number,))
