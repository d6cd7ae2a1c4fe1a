"""Lock-out: logins are refused for a growing time after failures, by user and by address.

An attempt is counted before its password is checked and taken back when it was good, so that many
at once are no way round. Names that nobody has are counted like others, so that a lock tells
nothing about who exists. IPv6 addresses count by their /64, which one host can have to itself.
The table is bounded; what was not touched for the longest time goes first.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from deodar.edr.database import now_us, record
from deodar.edr.tables_users import login_failures as table
from deodar.edr.tables_users import users
from deodar.edr.users.errors import LockedOut
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.edr.database import Database

_SECOND_US = 1_000_000
_FIRST_LOCK = 30
_LONGEST_LOCK = 3600
_FORGOTTEN_AFTER_US = 86_400 * _SECOND_US
MOST = 10_000
"""How many names, and how many addresses, are remembered."""
FREE = {"user": 5, "address": 20}
"""How many failures in a row are free of a lock."""

log = logger("edr.users")


@dataclass(frozen=True)
class Attempt:
    """One login that is being tried, by the keys that it counts for."""

    user: str
    address: str

    @property
    def keys(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """What it counts for: a kind and a key each."""
        return ("user", self.user[:128]), ("address", _network(self.address))


def begin(database: Database, attempt: Attempt) -> None:
    """Count an attempt; raises LockedOut, and then counts nothing."""
    now = now_us()
    with database.write() as connection:
        waits = [_wait(connection, kind, key, now) for kind, key in attempt.keys]
        if max(waits) == 0:
            for kind, key in attempt.keys:
                _count(connection, kind, key, now)
    if max(waits) > 0:
        log.warning("login_locked", user=attempt.user, address=attempt.address, wait=max(waits))
        raise LockedOut(max(waits))


def succeeded(connection: Connection, attempt: Attempt) -> None:
    """Take a good attempt back: the user's failures are over, the address has one less."""
    (_, user), (_, address) = attempt.keys
    connection.execute(delete(table).where(_is("user", user)))
    mine = _is("address", address)
    connection.execute(update(table).where(mine).values(count=table.c.count - 1, until_us=0))


def seconds(failures: int, free: int) -> int:
    """Return how long is locked after so many failures in a row; 0 for not at all."""
    beyond = failures - free
    return 0 if beyond < 0 else min(_LONGEST_LOCK, _FIRST_LOCK << min(beyond, 16))


def _wait(connection: Connection, kind: str, key: str, now: int) -> int:
    until = connection.execute(select(table.c.until_us).where(_is(kind, key))).scalar() or 0
    return max(0, -(-(until - now) // _SECOND_US))


def _count(connection: Connection, kind: str, key: str, now: int) -> None:
    query = select(table.c.count, table.c.last_us).where(_is(kind, key)).with_for_update()
    row = connection.execute(query).first()
    if row is None and _begin(connection, kind, key, now):
        return
    before, last_us = row or connection.execute(query).one()
    count = 1 if now - last_us > _FORGOTTEN_AFTER_US else before + 1
    locked = seconds(count, FREE[kind])
    values = {
        "count": count,
        "last_us": now,
        "until_us": now + locked * _SECOND_US if locked else 0,
    }
    connection.execute(update(table).where(_is(kind, key)).values(**values))
    if locked and (kind != "user" or _is_user(connection, key)):
        record(connection, "login lock", f"{kind} {key}", f"{count} failures, {locked} seconds")


def _is_user(connection: Connection, name: str) -> bool:
    return connection.execute(select(users.c.name).where(users.c.name == name)).first() is not None


def _begin(connection: Connection, kind: str, key: str, now: int) -> bool:
    """Count the first failure; returns False when another process did that just now."""
    _make_room(connection, kind)
    values = {"count": 1, "last_us": now, "until_us": 0}
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(kind=kind, key=key, **values))
    except IntegrityError:
        return False
    return True


def _make_room(connection: Connection, kind: str) -> None:
    count = connection.execute(select(func.count()).where(table.c.kind == kind)).scalar_one()
    if count < MOST:
        return
    oldest = (
        select(table.c.key)
        .where(table.c.kind == kind)
        .order_by(table.c.last_us)
        .limit(count - MOST + 1)
    )
    keys = list(connection.execute(oldest).scalars())
    connection.execute(delete(table).where(table.c.kind == kind, table.c.key.in_(keys)))


def _is(kind: str, key: str):  # type: ignore[no-untyped-def]  # SQLAlchemy has no short name for it
    return (table.c.kind == kind) & (table.c.key == key)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:128]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
