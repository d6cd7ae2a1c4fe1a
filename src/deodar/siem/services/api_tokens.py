"""API tokens: by which scripts and people show the REST API who they are.

A token's secret is shown once, and its SHA-256 kept. It names a user, and has a role and an end.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, insert, select, update

from deodar.siem.errors import NotKnown, NotPossible
from deodar.siem.services.database import now_us, record
from deodar.siem.services.roles import Role  # noqa: TC001 - msgspec reads it at run time
from deodar.siem.services.tables import api_tokens as table
from deodar.siem.services.wire import hash_of

if TYPE_CHECKING:
    from deodar.siem.services.database import Database

PREFIX = "deodar-siem:"
LONGEST_DAYS = 366.0
MOST = 1_000
_LONGEST_SECRET = 128
_DAY_US = 86_400 * 1_000_000
_USED_EVERY_US = 60_000_000
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class ApiToken(msgspec.Struct, frozen=True):
    """A token without its secret; times are µs, 0 for never."""

    id: str
    user: str
    role: Role
    created_us: int
    expires_us: int
    used_us: int


class NewApiToken(msgspec.Struct, frozen=True):
    """A token just made: its secret is never shown again."""

    secret: str
    token: ApiToken


_COLUMNS = tuple(table.c[name] for name in ApiToken.__struct_fields__)


class ApiTokens:
    """The API tokens of one core; synchronous, safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, user: str, role: Role, days: float) -> NewApiToken:
        """Make a token, good for so many days; raises NotPossible."""
        if not 0 < days <= LONGEST_DAYS:
            raise NotPossible(f"a token is good for up to {LONGEST_DAYS:g} days, not {days:g}")
        if not _USER.fullmatch(user):
            raise NotPossible(f"{user!r} cannot name a user: up to 64 letters, digits and _ . @ -")
        secret, now = PREFIX + secrets.token_urlsafe(32), now_us()
        made = ApiToken(secrets.token_hex(8), user, role, now, now + int(days * _DAY_US), 0)
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.expires_us <= now))
            if connection.execute(select(func.count()).select_from(table)).scalar_one() >= MOST:
                raise NotPossible(f"there are {MOST} API tokens already; revoke some first")
            row = msgspec.structs.asdict(made)
            connection.execute(insert(table).values(**row, hash=hash_of(secret)))
            record(connection, "api token created", f"{user}/{made.id}", role)
        return NewApiToken(secret, made)

    def list(self) -> list[ApiToken]:
        """Return the tokens that are not outdated, the oldest first."""
        query = select(*_COLUMNS).where(table.c.expires_us > now_us()).order_by(table.c.created_us)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [msgspec.convert(row, ApiToken, from_attributes=True) for row in rows]

    def revoke(self, id_: str) -> None:
        """End a token; raises NotKnown."""
        with self._database.write() as connection:
            if not connection.execute(delete(table).where(table.c.id == id_)).rowcount:
                raise NotKnown(f"no API token '{id_[:64]}'; see: deodar siem api-token list")
            record(connection, "api token revoked", id_)

    def identify(self, secret: str) -> ApiToken | None:
        """Return the token that is shown, None when it is not good."""
        if not secret.startswith(PREFIX) or len(secret) > _LONGEST_SECRET:
            return None
        now = now_us()
        mine = (table.c.hash == hash_of(secret)) & (table.c.expires_us > now)
        with self._database.read() as connection:
            row = connection.execute(select(*_COLUMNS).where(mine)).first()
        if row is None:
            return None
        found = msgspec.convert(row, ApiToken, from_attributes=True)
        if now - found.used_us > _USED_EVERY_US:
            with self._database.write() as connection:
                used = update(table).where(table.c.id == found.id).values(used_us=now)
                connection.execute(used)
        return found
