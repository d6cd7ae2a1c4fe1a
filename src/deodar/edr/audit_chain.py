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
import time
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, insert, select, update

from deodar.edr.tables import audit, audit_chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, RowMapping

KEY_OPTION = "deodar_audit_key"
"""The execution option of a connection under which `deodar.edr.database` gives the key."""
KEPT = 1_000_000
"""How many rows are kept at least; somewhat more are there before the oldest go."""
_DROP_EVERY = 10_000
_DROPPED = "audit drop"
_LABEL = b"deodar audit trail\0"
_BEGINNING = "0" * 64
COVERED = (
    "number", "time_us", "user", "address", "action", "subject", "details", "before", "after",
)  # fmt: skip
"""The columns that a row's hash covers, in their order there."""


class Place(msgspec.Struct, frozen=True):
    """A row by its number and hash."""

    number: int
    hash: str


def derive_key(secret: bytes) -> bytes:
    """Return the key of the trail, made from the installation's secret."""
    return hmac.digest(secret, b"deodar audit key", "sha256")


def append(connection: Connection, row: Mapping[str, Any]) -> None:
    """Add a row, all columns but `number` and `hash` given, within the caller's transaction."""
    key = key_of(connection)
    head = _put(connection, key, _head(connection, key), row)
    if head.number > KEPT and head.number % _DROP_EVERY == 0:
        head = _drop_oldest(connection, key, head)
    connection.execute(update(audit_chain).values(number=head.number, hash=head.hash))


def begin(connection: Connection) -> None:
    """Begin the chain with the rows of a release that had none. For a migration, once."""
    key, last = key_of(connection), Place(0, _BEGINNING)
    covered = select(*(audit.c[name] for name in COVERED))
    for row in connection.execute(covered.order_by(audit.c.number)).all():
        digest = next_hash(key, last.hash, row._mapping)  # SQLAlchemy's public name for it
        mine = audit.c.number == row.number
        connection.execute(update(audit).where(mine).values(hash=digest))
        last = Place(row.number, digest)
    connection.execute(insert(audit_chain).values(id=1, number=last.number, hash=last.hash))


def next_hash(key: bytes, before: str, row: Mapping[str, Any] | RowMapping) -> str:
    """Return a row's hash, 64 hex digits; `before` is the one of the row before it."""
    content = msgspec.json.encode([before, *(row[name] for name in COVERED)])
    return hmac.new(key, _LABEL + content, hashlib.sha256).hexdigest()


def beginning(connection: Connection) -> Place:
    """Return what the first row that is there must follow: the last one that was dropped, if any.

    The row that tells of it is in the chain itself, so it cannot be made up.
    """
    query = select(audit.c.after).where(audit.c.action == _DROPPED)
    told = connection.execute(query.order_by(audit.c.number.desc()).limit(1)).scalar()
    try:
        return msgspec.json.decode(told or "", type=Place)
    except msgspec.DecodeError:
        return Place(0, _BEGINNING)


def key_of(connection: Connection) -> bytes:
    """Return the key that the database was opened with."""
    key: bytes = connection.get_execution_options().get(KEY_OPTION, b"")
    return key


def _put(connection: Connection, key: bytes, head: Place, row: Mapping[str, Any]) -> Place:
    whole = {**row, "number": head.number + 1}
    digest = next_hash(key, head.hash, whole)
    connection.execute(audit.insert().values(**whole, hash=digest))
    return Place(head.number + 1, digest)


def _head(connection: Connection, key: bytes) -> Place:
    """Return the last row, and hold the chain against other writers."""
    held = select(audit_chain.c.number, audit_chain.c.hash).with_for_update()
    number, digest = connection.execute(held).one()
    return Place(number, digest)


def _drop_oldest(connection: Connection, key: bytes, head: Place) -> Place:
    """Drop what is beyond the limit, and tell of it in the chain; returns the new head."""
    upto = head.number - KEPT
    last = select(audit.c.number, audit.c.hash).where(audit.c.number <= upto)
    found = connection.execute(last.order_by(audit.c.number.desc()).limit(1)).first()
    if found is None:
        return head
    connection.execute(delete(audit).where(audit.c.number <= upto))
    row = dict.fromkeys(COVERED, "") | {
        "time_us": time.time_ns() // 1000,
        "user": "deodar",
        "action": _DROPPED,
        "subject": "audit",
        "details": f"rows up to {upto} were dropped: more than {KEPT} were kept",
        "after": msgspec.json.encode(Place(found.number, found.hash)).decode(),
    }
    return _put(connection, key, head, row)
