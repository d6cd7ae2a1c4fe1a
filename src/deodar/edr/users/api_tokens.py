"""API tokens: how scripts show who they are. A token's secret is shown once; its SHA-256 is kept.

A token belongs to a user and has a role of its own, the user's or a lower one, and an end. What it
may do is the lower of its role and the one that the user has now.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from deodar.edr.database import now_us, record
from deodar.edr.errors import NotKnown
from deodar.edr.tables_users import api_tokens as table
from deodar.edr.tables_users import users
from deodar.edr.users.errors import NotPossible
from deodar.edr.users.identity import Identity
from deodar.edr.users.roles import Role, lower

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from deodar.edr.database import Database

PREFIX = "deodar-api:"
LONGEST_DAYS = 366
MOST = 100
"""How many tokens a user may have."""
_DAY_US = 86_400 * 1_000_000
_LONGEST_SECRET = 128
_USED_EVERY_US = 60_000_000


class ApiToken(msgspec.Struct, frozen=True):
    """A token without its secret. Times are µs, 0 for never."""

    id: str
    user: str
    name: str
    role: Role
    created_us: int
    expires_us: int
    used_us: int


class NewApiToken(msgspec.Struct, frozen=True):
    """A token just made: its secret is never shown again."""

    secret: str
    token: ApiToken


_SELECT = select(*(table.c[name] for name in ApiToken.__struct_fields__))


class ApiTokens:
    """The API tokens of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, user: str, name: str, role: Role, days: float) -> NewApiToken:
        """Make a token of a user, good for so many days.

        Raises NotKnown, and NotPossible for a role above the user's, an end that is too far, or
        too many tokens.
        """
        if not 0 < days <= LONGEST_DAYS:
            raise NotPossible(f"a token is good for up to {LONGEST_DAYS} days, not {days:g}")
        secret, now = PREFIX + secrets.token_urlsafe(32), now_us()
        made = ApiToken(
            id=secrets.token_hex(8),
            user=user,
            name=name[:128],
            role=role,
            created_us=now,
            expires_us=now + int(days * _DAY_US),
            used_us=0,
        )
        with self._database.write() as connection:
            _check(connection, made)
            row = msgspec.structs.asdict(made)
            connection.execute(insert(table).values(**row, hash=hash_of(secret)))
            record(connection, "api-token create", f"{user}/{made.id}", after=_story(made))
        return NewApiToken(secret, made)

    def list(self, user: str | None = None) -> list[ApiToken]:
        """Return the tokens of a user, or all, the oldest first, without outdated ones."""
        query = _SELECT.where(table.c.expires_us > now_us()).order_by(table.c.created_us)
        if user is not None:
            query = query.where(table.c.user == user)
        with self._database.read() as connection:
            return [_token(row) for row in connection.execute(query).all()]

    def revoke(self, id_: str, user: str | None = None) -> ApiToken:
        """End a token (of `user`, if given) and return it; raises NotKnown."""
        key = table.c.id == id_
        if user is not None:
            key &= table.c.user == user
        with self._database.write() as connection:
            row = connection.execute(_SELECT.where(key)).first()
            if row is None:
                raise NotKnown(f"no API token '{id_}'; see: deodar edr token list")
            found = _token(row)
            connection.execute(delete(table).where(table.c.id == id_))
            record(connection, "api-token revoke", f"{found.user}/{id_}", before=_story(found))
            return found

    def identify(self, secret: str) -> Identity | None:
        """Return who shows a token's secret, or None when it is not good."""
        if not secret.startswith(PREFIX) or len(secret) > _LONGEST_SECRET:
            return None
        now = now_us()
        query = (
            select(table.c.id, table.c.user, table.c.used_us, table.c.role, users.c.role)
            .join(users, users.c.name == table.c.user)
            .where(table.c.hash == hash_of(secret), table.c.expires_us > now)
            .where(users.c.disabled_us == 0)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        id_, user, used_us, own, present = row
        if now - used_us > _USED_EVERY_US:
            self._note_used(id_, now)
        return Identity(user, lower(Role(own), Role(present)), token=id_)

    def _note_used(self, id_: str, now: int) -> None:
        with self._database.write() as connection:
            connection.execute(update(table).where(table.c.id == id_).values(used_us=now))


def hash_of(secret: str) -> str:
    """Return what is kept of a secret that is long and random."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _check(connection: Connection, made: ApiToken) -> None:
    role = connection.execute(select(users.c.role).where(users.c.name == made.user)).scalar()
    if role is None:
        raise NotKnown(f"no user '{made.user}'; see: deodar edr user list")
    if not Role(role).covers(made.role):
        raise NotPossible(f"{made.user} is {role}; a token cannot have the role {made.role}")
    connection.execute(delete(table).where(table.c.expires_us <= made.created_us))
    mine = select(func.count()).where(table.c.user == made.user)
    if connection.execute(mine).scalar_one() >= MOST:
        raise NotPossible(f"{made.user} has {MOST} API tokens already; revoke some first")


def _token(row: Row[Any]) -> ApiToken:
    return msgspec.convert(row, ApiToken, from_attributes=True)


def _story(token: ApiToken) -> str:
    told = {"name": token.name, "role": token.role, "expires_us": token.expires_us}
    return msgspec.json.encode(told).decode()
