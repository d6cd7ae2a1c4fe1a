"""The chain of the audit trail: each row's hash covers its content and the row before it.

The hash is an HMAC-SHA-256 under a key that is kept outside the database, so who can change the
database alone can neither change a row nor leave one out nor add one without it showing. What was
cut off at the end shows against a number and hash that were noted before (`deodar.edr.audit`).

Writers take the chain's one head row for the rest of their transaction, so that rows have numbers
without a gap; the database does the waiting.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select, update

from deodar.edr.tables import audit, audit_chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, RowMapping

KEY_OPTION = "deodar_audit_key"
"""The execution option of a connection under which `deodar.edr.database` gives the key."""
_LABEL = b"deodar audit trail\0"
_BEGINNING = "0" * 64
COVERED = (
    "number", "time_us", "user", "address", "action", "subject", "details", "before", "after",
)  # fmt: skip
"""The columns that a row's hash covers, in their order there."""


def derive_key(secret: bytes) -> bytes:
    """Return the key of the trail, made from the installation's secret."""
    return hmac.digest(secret, b"deodar audit key", "sha256")


def append(connection: Connection, row: Mapping[str, Any]) -> None:
    """Add a row, all columns but `number` and `hash` given, within the caller's transaction."""
    key = key_of(connection)
    number, before = _head(connection, key)
    whole = {**row, "number": number + 1}
    digest = next_hash(key, before, whole)
    connection.execute(audit.insert().values(**whole, hash=digest))
    _advance(connection, number + 1, digest)


def next_hash(key: bytes, before: str, row: Mapping[str, Any] | RowMapping) -> str:
    """Return a row's hash, 64 hex digits; `before` is the one of the row before it."""
    content = msgspec.json.encode([before, *(row[name] for name in COVERED)])
    return hmac.new(key, _LABEL + content, hashlib.sha256).hexdigest()


def first_hash() -> str:
    """Return what stands for the row before the first."""
    return _BEGINNING


def key_of(connection: Connection) -> bytes:
    """Return the key that the database was opened with."""
    key: bytes = connection.get_execution_options().get(KEY_OPTION, b"")
    return key


def _head(connection: Connection, key: bytes) -> tuple[int, str]:
    """Return the last number and hash, and hold them against other writers."""
    held = select(audit_chain.c.number, audit_chain.c.hash).with_for_update()
    number, digest = connection.execute(held).one()
    if digest:
        return int(number), str(digest)
    return _adopt(connection, key)


def _adopt(connection: Connection, key: bytes) -> tuple[int, str]:
    """Take the rows of a release without a chain into it, and return the last of them."""
    number, digest = 0, _BEGINNING
    for row in connection.execute(select(audit).order_by(audit.c.number)).all():
        number, values = row.number, row._mapping  # SQLAlchemy's public name for it
        digest = next_hash(key, digest, values)
        mine = audit.c.number == number
        connection.execute(update(audit).where(mine).values(hash=digest))
    return number, digest


def _advance(connection: Connection, number: int, digest: str) -> None:
    connection.execute(update(audit_chain).values(number=number, hash=digest))
