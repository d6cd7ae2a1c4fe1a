"""The core's database of resource sets and services, and its audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert

from deodar.kit import database as kit
from deodar.kit.acting import Actor, actor
from deodar.kit.database import now_us, sqlite_url
from deodar.siem.errors import ControlDataError, NotStorable
from deodar.siem.services.tables import audit

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Database", "now_us", "record", "sqlite_url"]

FILE = "siem.db"
VERSION_TABLE = "deodar_siem_version"
HEAD = "0001"
SCHEMA = kit.Schema(
    migrations="deodar.siem.services:migrations",
    head=HEAD,
    version_table=VERSION_TABLE,
    settings="siem.toml",
    failed=ControlDataError,
    not_storable=NotStorable,
)
KEPT = 100_000
"""How many rows of the audit trail are kept."""
_DROP_EVERY = 1_000
_LONGEST = 16_384


class Database(kit.Database):
    """An opened database, its tables up to date; safe to use from several threads.

    Raises ControlDataError when it does not answer, NotStorable for what it cannot keep.
    """

    def __init__(self, url: str) -> None:
        """Open the database at an SQLAlchemy URL; raises ControlDataError."""
        super().__init__(url, SCHEMA)


def record(
    connection: Connection, action: str, subject: str, details: str = "", by: Actor | None = None
) -> None:
    """Add an audit row within the transaction of the change that it tells of.

    Who did it is `by`, such as a service, or else whoever acts now. No secret is ever in it.
    """
    who = by or actor()
    row = {
        "time_us": now_us(),
        "user": who.name[:128],
        "address": who.address[:64],
        "action": action[:64],
        "subject": subject[:256],
        "details": details if len(details) <= _LONGEST else f"{details[:_LONGEST]}…",
    }
    number = connection.execute(insert(audit).values(**row)).inserted_primary_key[0]  # type: ignore[index]
    if number > KEPT and number % _DROP_EVERY == 0:
        connection.execute(delete(audit).where(audit.c.number <= number - KEPT))
