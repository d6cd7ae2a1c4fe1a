"""Enrolment tokens after they were made: which there are, what became of them, taking one back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, select

from deodar.edr.database import record
from deodar.edr.errors import NotKnown
from deodar.edr.tables import enrolment_tokens as table

if TYPE_CHECKING:
    from sqlalchemy import Row

    from deodar.edr.database import Database

_ID_LENGTH = 16


class EnrolmentToken(msgspec.Struct, frozen=True):
    """A token without its secret. Times are µs; `used_us` and `agent_id` once it was used."""

    id: str
    note: str
    created_us: int
    expires_us: int
    used_us: int | None
    agent_id: str | None


_SELECT = select(
    table.c.hash,
    *(table.c[name] for name in EnrolmentToken.__struct_fields__ if name != "id"),
)


class EnrolmentTokens:
    """The enrolment tokens of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self, behind: tuple[int, str] | None = None, limit: int = 1000
    ) -> list[EnrolmentToken]:
        """Return up to so many tokens, the newest first; `behind` is (created_us, id) of one."""
        query = _SELECT.order_by(table.c.created_us.desc(), table.c.hash.desc()).limit(limit)
        if behind is not None:
            created, id_ = behind
            same = (table.c.created_us == created) & (table.c.hash < id_)
            query = query.where((table.c.created_us < created) | same)
        with self._database.read() as connection:
            return [_token(row) for row in connection.execute(query).all()]

    def revoke(self, id_: str) -> EnrolmentToken:
        """Forget a token and return it: no agent can enrol with it. Raises NotKnown."""
        mine = table.c.hash.startswith(id_, autoescape=True)
        with self._database.write() as connection:
            row = connection.execute(_SELECT.where(mine)).first()
            if row is None or len(id_) < _ID_LENGTH:
                raise NotKnown(
                    f"no enrolment token '{id_[:64]}'; see: deodar edr enrolment-tokens list"
                )
            connection.execute(delete(table).where(table.c.hash == row.hash))
            found = _token(row)
            record(connection, "enrolment-token revoke", found.id, found.note)
            return found


def _token(row: Row[tuple[str, str]]) -> EnrolmentToken:
    values = dict(row._mapping)  # SQLAlchemy's public name for it
    return EnrolmentToken(id=values.pop("hash")[:_ID_LENGTH], **values)
