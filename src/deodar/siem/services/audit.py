"""Reading the audit trail of sets and services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import select

from deodar.siem.services.tables import audit as table

if TYPE_CHECKING:
    from deodar.siem.services.database import Database

MOST = 1_000


class AuditRow(msgspec.Struct, frozen=True):
    """One change or event; `time_us` is µs since the epoch."""

    number: int
    time_us: int
    user: str
    address: str
    action: str
    subject: str
    details: str


def latest(database: Database, limit: int = 100, before: int = 0) -> list[AuditRow]:
    """Return the newest rows first, at most `limit`; `before` is the number to go on behind."""
    query = select(table).order_by(table.c.number.desc()).limit(min(limit, MOST))
    if before:
        query = query.where(table.c.number < before)
    with database.read() as connection:
        return [AuditRow(*row) for row in connection.execute(query).all()]
