"""Sessions: what a login gives, for browsers. Only the SHA-256 of a session's secret is kept.

A session ends when it was not used for a while, after a longer time in any case, at the logout,
and when its user's password, role or state is changed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, insert, select, update

from deodar.edr.database import now_us
from deodar.edr.tables_users import sessions as table
from deodar.edr.tables_users import users
from deodar.edr.users.api_tokens import hash_of
from deodar.edr.users.identity import Identity
from deodar.edr.users.roles import Role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.edr.database import Database
    from deodar.edr.settings import Sessions as Limits

MOST = 16
"""How many sessions a user may have; the one used least recently ends for a new one."""
_LONGEST_SECRET = 128
_USED_EVERY_US = 10_000_000
_SECOND_US = 1_000_000


class Session(msgspec.Struct, frozen=True):
    """A session without its secret. Times are µs."""

    user: str
    address: str
    client: str
    """What the client called itself at the login."""
    created_us: int
    used_us: int


class NewSession(msgspec.Struct, frozen=True):
    """A session just made: its secret for the cookie, and who it stands for."""

    secret: str
    identity: Identity
    ends_us: int
    """When it ends whatever happens."""


_SELECT = select(*(table.c[name] for name in Session.__struct_fields__))


class Sessions:
    """The sessions of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    def make(
        self, connection: Connection, user: str, role: Role, address: str, client: str
    ) -> NewSession:
        """Begin a session within the transaction of a login."""
        now, secret = now_us(), secrets.token_urlsafe(32)
        connection.execute(delete(table).where(self._over(now)))
        _make_room(connection, user)
        connection.execute(
            insert(table).values(
                hash=hash_of(secret),
                user=user,
                address=address[:64],
                client=client[:256],
                created_us=now,
                used_us=now,
            )
        )
        return NewSession(secret, _identity(user, role, secret), self._end(now))

    def identify(self, secret: str) -> Identity | None:
        """Return who a session's secret stands for, None when it is not good; notes the use."""
        if not secret or len(secret) > _LONGEST_SECRET:
            return None
        now, mine = now_us(), table.c.hash == hash_of(secret)
        query = (
            select(table.c.user, table.c.used_us, users.c.role)
            .join(users, users.c.name == table.c.user)
            .where(mine, ~self._over(now), users.c.disabled_us == 0)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        if now - row.used_us > _USED_EVERY_US:
            with self._database.write() as connection:
                connection.execute(update(table).where(mine).values(used_us=now))
        return _identity(row.user, Role(row.role), secret)

    def end(self, session: str) -> None:
        """End a session by the hash of its secret."""
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.hash == session))

    def list(self, user: str) -> list[Session]:
        """Return a user's sessions that are not over, the last used first."""
        query = _SELECT.where(table.c.user == user, ~self._over(now_us()))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(table.c.used_us.desc())).all()
        return [msgspec.convert(row, Session, from_attributes=True) for row in rows]

    def _over(self, now: int):  # type: ignore[no-untyped-def]  # a condition of SQLAlchemy's
        idle = now - int(self._limits.idle * _SECOND_US)
        oldest = now - int(self._limits.longest * _SECOND_US)
        return (table.c.used_us < idle) | (table.c.created_us < oldest)

    def _end(self, now: int) -> int:
        return now + int(self._limits.longest * _SECOND_US)


def csrf_token(secret: str) -> str:
    """Return the token that a page must show beside the cookie; no other site can know it."""
    return hmac.new(secret.encode(), b"deodar csrf", hashlib.sha256).hexdigest()


def _identity(user: str, role: Role, secret: str) -> Identity:
    return Identity(user, role, session=hash_of(secret), csrf=csrf_token(secret))


def _make_room(connection: Connection, user: str) -> None:
    newest = (
        select(table.c.hash)
        .where(table.c.user == user)
        .order_by(table.c.used_us.desc(), table.c.hash)
        .offset(MOST - 1)
    )
    over = list(connection.execute(newest).scalars())
    connection.execute(delete(table).where(table.c.hash.in_(over)))
