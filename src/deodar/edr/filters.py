"""The filters that continuation tokens remember.

A token carries only a digest; the text is kept here, so that tokens stay short and a filter
survives restarts. For each external system the most recently used ones are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from deodar.edr.database import now_us
from deodar.edr.errors import TokenError
from deodar.edr.tables import filters as table
from deodar.edr.tokens import NO_FILTER, filter_digest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.edr.database import Database

KEPT = 100
_USED_EVERY_US = 3600 * 1_000_000


class FilterStore:
    """Filter texts by external system and digest; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, system: str, text: str) -> bytes:
        """Keep a filter for an external system and return the digest for its tokens."""
        digest = filter_digest(text)
        if digest == NO_FILTER or self._find(system, digest) is not None:
            return digest
        row = {"system": system, "digest": digest.hex(), "text": text, "used_us": now_us()}
        with self._database.write() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(table).values(**row))
            except IntegrityError:
                pass  # kept at the same time by another request
            _drop_oldest(connection, system)
        return digest

    def text(self, system: str, digest: bytes) -> str:
        """Return a filter's text, "" for none; raises TokenError when it is not kept any more."""
        if digest == NO_FILTER:
            return ""
        found = self._find(system, digest)
        if found is None:
            raise TokenError("the filter that goes with it is not kept any more")
        return found

    def _find(self, system: str, digest: bytes) -> str | None:
        key = (table.c.system == system) & (table.c.digest == digest.hex())
        with self._database.read() as connection:
            row = connection.execute(select(table.c.text, table.c.used_us).where(key)).first()
        if row is None:
            return None
        now = now_us()
        if now - row.used_us > _USED_EVERY_US:
            with self._database.write() as connection:
                connection.execute(update(table).where(key).values(used_us=now))
        return str(row.text)


def _drop_oldest(connection: Connection, system: str) -> None:
    own = table.c.system == system
    newest = select(table.c.digest).where(own).order_by(table.c.used_us.desc()).limit(KEPT)
    kept = list(connection.execute(newest).scalars())
    connection.execute(delete(table).where(own & table.c.digest.not_in(kept)))
