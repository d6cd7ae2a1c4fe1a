"""Alerts: what was found in files, traffic and events, for people and for external systems.

Kept within the bounds of KATA's nightly rotation: 100,000 each for IDS and for the reputation of
URLs, 20,000 for every other technology; the oldest go first. Their numbers only rise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from sqlalchemy import delete, func, insert, select

from deodar.edr.database import now_us
from deodar.edr.tables_response import alerts as table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from deodar.edr.database import Database

Importance = Literal["high", "medium", "low"]
Source = Literal["web", "mail", "endpoint", "external", "dns"]
Technology = Literal["am", "sb", "yara", "url_reputation", "ids", "taa"]
ObjectType = Literal["file", "URL", "host"]
TECHNOLOGIES: tuple[Technology, ...] = ("am", "sb", "yara", "url_reputation", "ids", "taa")
KEPT = 20_000
KEPT_MORE = {"ids": 100_000, "url_reputation": 100_000}
_LARGEST = 64 << 10


class NewAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; `object`, `detection` and `details` depend on the technology."""

    event_us: int
    importance: Importance
    source: Source
    technology: Technology
    object_type: ObjectType
    object: dict[str, Any]
    detection: dict[str, Any]
    details: dict[str, Any]


class Alert(NewAlert, frozen=True, kw_only=True):
    """An alert as it is kept; `detect_us` is when it was found."""

    number: int
    detect_us: int


class Alerts:
    """The alerts of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, alert: NewAlert, connection: Connection | None = None) -> None:
        """Keep an alert, within a transaction of the caller if there is one."""
        content = {
            "object": alert.object,
            "detection": alert.detection,
            "details": alert.details,
        }
        text = msgspec.json.encode(content).decode().replace("\\u0000", "?")
        if len(text) > _LARGEST:
            cut = {"object": alert.object, "detection": {}, "details": {"cut": True}}
            text = msgspec.json.encode(cut).decode().replace("\\u0000", "?")[:_LARGEST]
        row = {
            "event_us": alert.event_us,
            "detect_us": now_us(),
            "importance": alert.importance,
            "source": alert.source,
            "technology": alert.technology,
            "object_type": alert.object_type,
            "content": text,
        }
        if connection is not None:
            connection.execute(insert(table).values(**row))
            return
        with self._database.write() as own:
            own.execute(insert(table).values(**row))

    def after(self, number: int, limit: int, technologies: Sequence[str] = ()) -> list[Alert]:
        """Return the alerts behind a number, the oldest first."""
        query = select(table).where(table.c.number > number).order_by(table.c.number).limit(limit)
        if technologies:
            query = query.where(table.c.technology.in_(technologies))
        with self._database.read() as connection:
            return [_alert(row) for row in connection.execute(query).all()]

    def before(self, number: int, limit: int, technologies: Sequence[str] = ()) -> list[Alert]:
        """Return alerts, the newest first; `number` is the last one of the page before, or 0."""
        query = select(table).order_by(table.c.number.desc()).limit(limit)
        if number:
            query = query.where(table.c.number < number)
        if technologies:
            query = query.where(table.c.technology.in_(technologies))
        with self._database.read() as connection:
            return [_alert(row) for row in connection.execute(query).all()]

    def last(self) -> int:
        """Return the number of the newest alert, 0 if there is none."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.max(table.c.number))).scalar() or 0)

    def rotate(self) -> int:
        """Delete the oldest alerts above the bounds; returns how many."""
        return sum(map(self._rotate, TECHNOLOGIES))

    def _rotate(self, technology: Technology) -> int:
        mine = table.c.technology == technology
        kept = KEPT_MORE.get(technology, KEPT)
        edge = select(table.c.number).where(mine).order_by(table.c.number.desc())
        with self._database.read() as connection:
            first_over = connection.execute(edge.offset(kept).limit(1)).scalar()
        if first_over is None:
            return 0
        with self._database.write() as connection:
            old = delete(table).where(mine, table.c.number <= first_over)
            return connection.execute(old).rowcount


def _alert(row: Row[Any]) -> Alert:
    values = dict(row._mapping)  # SQLAlchemy's public name for it
    content = msgspec.json.decode(values.pop("content"))
    return Alert(**values, **content)
