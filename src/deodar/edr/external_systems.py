"""External systems: who may read events, and how a new one asks to.

An external system is known by three things: the id that it calls itself, the address that it comes
from, and the SHA-256 of its client certificate, whose key the TLS handshake has proved. The rules
are those of KATA's events API:

* an unknown combination makes one pending request, however often and at once it is repeated, and
  is answered with 401; so are rejected systems, and deleted ones, whose next request is a new one;
* an address and certificate that are known under another id are refused (409);
* a known id that comes with another certificate, or from another address, is a new request. The
  accepted system of that id stays as it is until an administrator accepts the new one, so that
  nobody can throw out a system by using its id. Accepting a new certificate replaces the old one.

How many requests may wait is bounded, for each address and in all; those not seen for the longest
time go first, so that a scanner cannot fill the disk and a system that keeps asking stays.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from deodar.edr.database import now_us, record
from deodar.edr.errors import Ambiguous, NotAcceptable, NotKnown
from deodar.edr.external_system import (
    ACCEPTED,
    PENDING,
    REJECTED,
    Access,
    Caller,
    ExternalSystem,
    request_row,
)
from deodar.edr.tables import external_systems as table
from deodar.edr.tables import filters
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

    from deodar.edr.database import Database
    from deodar.edr.settings import ExternalSystems as Rules

_SEEN_EVERY_US = 5_000_000
_FINGERPRINT_PREFIX = 8

log = logger("edr.external_systems")


class Register:
    """The external systems of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._rules = rules

    def follow(self, rules: Rules) -> None:
        """Let other rules hold from now on."""
        self._rules = rules

    def authorise(self, caller: Caller) -> Access:
        """Decide on one request and note that it was seen; a new caller becomes a pending request.

        Raises ControlDataError when the database does not answer.
        """
        digest = caller.digest
        with self._database.read() as connection:
            found = self._find(connection, caller, digest)
        if found is None:
            found = self._ask(caller, digest)
        if not hmac.compare_digest(found.id.encode(), caller.id.encode()):
            log.warning("conflict", id=caller.id, known_as=found.id, ip=caller.ip, digest=digest)
            return Access.CONFLICT
        self._note_seen(found)
        return self._decide(found, digest)

    def still_granted(self, caller: Caller) -> bool:
        """Whether the caller is accepted now, without noting anything."""
        digest = caller.digest
        with self._database.read() as connection:
            found = self._find(connection, caller, digest)
        return (
            found is not None
            and found.id == caller.id
            and self._decide(found, digest) is Access.GRANTED
        )

    def list(self, state: str | None = None) -> list[ExternalSystem]:
        """Return all rows, or those in one state, pending ones first, then by when first seen."""
        query = select(table).order_by(table.c.state != PENDING, table.c.number)
        if state is not None:
            query = query.where(table.c.state == state)
        with self._database.read() as connection:
            return _systems(connection.execute(query).all())

    def accept(self, name: str, title: str = "") -> ExternalSystem:
        """Let a pending or rejected system in; `title` is its name in lists.

        Another certificate that was accepted for the same id before is thereby replaced. Returns
        the new row. Raises NotKnown, Ambiguous, and NotAcceptable if its certificate's dates are
        not good.
        """
        with self._database.write() as connection:
            found = _one(connection, name, (PENDING, REJECTED))
            _refuse_silent_replacement(connection, name, found)
            problem = found.problem(now_us())
            if problem is not None:
                raise NotAcceptable(
                    f"the certificate of {found.id} {problem}; its owner must make a new one"
                )
            replaced = _replace(connection, found)
            _decided(connection, found, ACCEPTED, title)
            made = _by_number(connection, found.number)
            _record(connection, "accept", _story(found) + replaced, found, made)
            return made

    def reject(self, name: str) -> ExternalSystem:
        """Refuse a pending or accepted system; it stays listed. Returns the new row.

        Raises NotKnown or Ambiguous.
        """
        with self._database.write() as connection:
            found = _one(connection, name, (PENDING, ACCEPTED))
            _decided(connection, found, REJECTED, "")
            made = _by_number(connection, found.number)
            _record(connection, "reject", _story(found), found, made)
            return made

    def delete(self, name: str) -> ExternalSystem:
        """Forget a system; its next request is a new one. Returns the row that was deleted.

        Raises NotKnown or Ambiguous.
        """
        with self._database.write() as connection:
            found = _one(connection, name, (PENDING, ACCEPTED, REJECTED))
            connection.execute(delete(table).where(table.c.number == found.number))
            _forget_filters(connection, found.id)
            _record(connection, "delete", _story(found), found, None)
            return found

    def _find(self, connection: Connection, caller: Caller, digest: str) -> ExternalSystem | None:
        exact = select(table).where(table.c.ip == caller.ip, table.c.digest == digest)
        row = connection.execute(exact).first()
        if row is None and not self._rules.pin_address:
            accepted = select(table).where(
                table.c.id == caller.id, table.c.digest == digest, table.c.state == ACCEPTED
            )
            row = connection.execute(accepted).first()
        return None if row is None else _system(row)

    def _ask(self, caller: Caller, digest: str) -> ExternalSystem:
        """Return the pending request of a new caller, which another thread may have made first."""
        row = request_row(caller, digest)
        with self._database.write() as connection:
            self._make_room(connection, caller.ip)
            try:
                with connection.begin_nested():
                    connection.execute(insert(table).values(**row))
                log.warning("new_request", id=caller.id, ip=caller.ip, digest=digest)
            except IntegrityError:
                pass  # its unique constraint: somebody else asked the same at the same time
            found = connection.execute(
                select(table).where(table.c.ip == caller.ip, table.c.digest == digest)
            ).one()
            return _system(found)

    def _make_room(self, connection: Connection, ip: str) -> None:
        pending = table.c.state == PENDING
        for condition, limit in (
            (pending & (table.c.ip == ip), self._rules.max_pending_per_address),
            (pending, self._rules.max_pending),
        ):
            count = connection.execute(select(func.count()).where(condition)).scalar_one()
            if count < limit:
                continue
            oldest = (
                select(table.c.number)
                .where(condition)
                .order_by(table.c.last_seen_us, table.c.number)
                .limit(count - limit + 1)
            )
            numbers = list(connection.execute(oldest).scalars())
            connection.execute(delete(table).where(table.c.number.in_(numbers)))
            log.warning("pending_requests_dropped", count=len(numbers), limit=limit)

    def _decide(self, found: ExternalSystem, digest: str) -> Access:
        known = hmac.compare_digest(found.digest, digest)
        problem = found.problem(now_us())
        if found.state == ACCEPTED and problem is not None:
            log.warning("certificate_refused", id=found.id, ip=found.ip, reason=problem)
        granted = known and found.state == ACCEPTED and problem is None
        return Access.GRANTED if granted else Access.UNAUTHORIZED

    def _note_seen(self, found: ExternalSystem) -> None:
        """Write the time at most every few seconds: a storm of retries is no storm of writes."""
        now = now_us()
        if now - found.last_seen_us < _SEEN_EVERY_US:
            return
        with self._database.write() as connection:
            connection.execute(
                update(table).where(table.c.number == found.number).values(last_seen_us=now)
            )


def _system(row: Row[Any]) -> ExternalSystem:
    return ExternalSystem(**row._mapping)  # SQLAlchemy's public name for it


def _systems(rows: Sequence[Row[Any]]) -> list[ExternalSystem]:
    return [_system(row) for row in rows]


def _by_number(connection: Connection, number: int) -> ExternalSystem:
    return _system(connection.execute(select(table).where(table.c.number == number)).one())


def _one(connection: Connection, name: str, states: Sequence[str]) -> ExternalSystem:
    """Return the one system that goes by an id, a row number, or the start of a fingerprint."""
    ways = [table.c.id == name]
    if name.isascii() and name.isdecimal():
        ways.append(table.c.number == int(name[:9]))
    prefix = name.lower().replace(":", "")
    if len(prefix) >= _FINGERPRINT_PREFIX and re.fullmatch(r"[0-9a-f]+", prefix):
        ways.append(table.c.digest.startswith(prefix))
    query = select(table).where(or_(*ways)).order_by(table.c.number)
    everything = _systems(connection.execute(query).all())
    fitting = [system for system in everything if system.state in states]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = "; ".join(f"{s.number}: {s.id} {_story(s)} ({s.state})" for s in fitting)
        raise Ambiguous(f"'{name}' stands for several; use a number or fingerprint: {listed}")
    if everything:
        raise NotKnown(f"the external system '{name}' is {everything[0].state} already")
    raise NotKnown(f"no external system '{name}'; see: deodar edr external-systems list")


def _refuse_silent_replacement(connection: Connection, name: str, found: ExternalSystem) -> None:
    """Raise Ambiguous when an id alone would replace or widen what is accepted under that id.

    Anybody can ask under any id; a command repeated for an accepted one must not let him in.
    """
    same_id = (table.c.id == found.id) & (table.c.state == ACCEPTED)
    accepted = connection.execute(select(table).where(same_id)).first()
    if accepted is not None and name == found.id:
        raise Ambiguous(
            f"{found.id} is accepted {_story(_system(accepted))}; to accept {found.number}: "
            f"{_story(found)} as well, compare fingerprints and give the number {found.number}"
        )


def _record(
    connection: Connection,
    what: str,
    details: str,
    before: ExternalSystem,
    after: ExternalSystem | None,
) -> None:
    was, now = (
        "" if one is None else msgspec.json.encode({"state": one.state, "name": one.name}).decode()
        for one in (before, after)
    )
    action = f"external-system {what}"
    record(connection, action, before.id, details, before=was, after=now)


def _decided(connection: Connection, found: ExternalSystem, state: str, title: str) -> None:
    values: dict[str, Any] = {"state": state, "decided_us": now_us()}
    if title:
        values["name"] = title[:256]
    connection.execute(update(table).where(table.c.number == found.number).values(**values))


def _replace(connection: Connection, found: ExternalSystem) -> str:
    """Delete what was accepted for the same id with another certificate; returns words on it."""
    old = (table.c.id == found.id) & (table.c.digest != found.digest) & (table.c.state == ACCEPTED)
    digests = list(connection.execute(select(table.c.digest).where(old)).scalars())
    connection.execute(delete(table).where(old))
    return f"; replaces {', '.join(digests)}" if digests else ""


def _forget_filters(connection: Connection, system: str) -> None:
    others = select(func.count()).where(table.c.id == system)
    if connection.execute(others).scalar_one() == 0:
        connection.execute(delete(filters).where(filters.c.system == system))


def _story(found: ExternalSystem) -> str:
    return f"from {found.ip}, certificate {found.digest}"
