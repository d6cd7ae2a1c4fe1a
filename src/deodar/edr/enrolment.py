"""Enrolment of agents: a one-time secret against a client certificate for the agent's own key.

The secret is shown once and kept only as a SHA-256. It is used up in the same transaction that
adds the endpoint, so two agents cannot share one. The certificate's subject is the agent's id,
which the server gives; an endpoint is let in by the digest of that certificate, so deleting or
revoking it here takes effect with its next request.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import bindparam, delete, insert, or_, select, update

from deodar.edr.database import now_us, record
from deodar.edr.endpoint import (
    DEFAULT_GROUP,
    ENROLLED,
    REVOKED,
    SELECT,
    Endpoint,
    as_endpoint,
)
from deodar.edr.errors import Ambiguous, EnrolmentRefused, NotKnown
from deodar.edr.tables import endpoint_groups, endpoints, enrolment_tokens
from deodar.tls import certificates
from deodar.tls.errors import CertificateError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from deodar.edr.contacts import Contacts
    from deodar.edr.database import Database
    from deodar.tls.certificates import Pair

PREFIX = "deodar-enroll:v1:"
CERTIFICATE_DAYS = 365
_CONTACT_EVERY_US = 5_000_000
_DAY_US = 86_400 * 1_000_000
_NOT_GOOD = (
    "the enrolment token is unknown, used or outdated; make a new one with: deodar edr enroll"
)


_DIGEST: Any = bindparam("digest")
_BY_DIGEST = SELECT.where(or_(endpoints.c.digest == _DIGEST, endpoints.c.next_digest == _DIGEST))


class Host(msgspec.Struct, frozen=True):
    """What an agent says of its host; texts only for showing."""

    name: str = ""
    os_name: str = ""
    os_version: str = ""
    machine_id: str = ""
    agent_version: str = ""


class EnrolmentRequest(msgspec.Struct, frozen=True):
    """What an agent sends: the secret of its token, a certificate request (PEM), its host."""

    token: str
    request: str
    host: Host = Host()


class Enrolled(msgspec.Struct, frozen=True):
    """What an agent gets: its id, its certificate and the authority's (PEM)."""

    agent_id: str
    certificate: str
    authority: str


_SHOWN = 20


@dataclass(frozen=True)
class Invitation:
    """A new enrolment token: its text for the agent, and when it ends (µs)."""

    token: str
    expires_us: int


class Endpoints:
    """The endpoints of one server; synchronous, safe to use from several threads."""

    def __init__(self, database: Database, contacts: Contacts | None = None) -> None:
        """With `contacts` the times of contact go there; without they are written at once."""
        self._database = database
        self._contacts = contacts

    def invite(
        self, url: str, pin: str, seconds: float, note: str = "", group: str = DEFAULT_GROUP
    ) -> Invitation:
        """Make an enrolment token, good for one agent within `seconds`, for a group.

        `url` is the server's address for agents and `pin` the SHA-256 of its authority. Raises
        NotKnown for an unknown group.
        """
        secret = secrets.token_urlsafe(32)
        created = now_us()
        expires = created + int(seconds * 1_000_000)
        row = {"hash": _hash(secret), "note": note[:256], "created_us": created}
        row["group_name"] = group
        with self._database.write() as connection:
            _check_group(connection, group)
            old = enrolment_tokens.c.expires_us < created - _DAY_US
            connection.execute(delete(enrolment_tokens).where(old))
            connection.execute(insert(enrolment_tokens).values(**row, expires_us=expires))
            record(connection, "enrolment-token create", note or "-")
        return Invitation(_token_text(url, pin, secret), expires)

    def enroll(
        self, authority: Pair, request: EnrolmentRequest, address: str, days: int = CERTIFICATE_DAYS
    ) -> Enrolled:
        """Use up a token and return the agent's id and certificate, which is good for `days`.

        Raises EnrolmentRefused when the token is not good, or the certificate request is not; a
        bad certificate request leaves the token unused.
        """
        now = now_us()
        token = enrolment_tokens
        good = (
            (token.c.hash == _hash(request.token))
            & token.c.used_us.is_(None)
            & (token.c.expires_us > now)
        )
        with self._database.read() as connection:
            if connection.execute(select(token.c.hash).where(good)).first() is None:
                raise EnrolmentRefused(_NOT_GOOD)
        agent_id = str(uuid.uuid4())
        try:
            issued = certificates.issue_client(authority, request.request.encode(), agent_id, days)
        except (CertificateError, ValueError) as error:
            raise EnrolmentRefused(f"the certificate request is not good: {error}") from error
        with self._database.write() as connection:
            used = connection.execute(
                update(token).where(good).values(used_us=now, agent_id=agent_id)
            )
            if used.rowcount != 1:  # another agent was faster
                raise EnrolmentRefused(_NOT_GOOD)
            row = _endpoint_row(agent_id, issued, request.host, address, now)
            row |= _inherited(connection, request)
            connection.execute(insert(endpoints).values(**row))
            told = request.host.name + (f", replaces {row['replaces']}" if row["replaces"] else "")
            record(connection, "endpoint enroll", agent_id, told, user=address)
        return Enrolled(agent_id, issued.decode(), authority.certificate.decode())

    def find(self, name: str) -> Endpoint:
        """Return the endpoint of an agent's id or, if only one has it, a host's name.

        Raises NotKnown or Ambiguous.
        """
        by_id = SELECT.where(endpoints.c.agent_id == name)
        by_name = SELECT.where(endpoints.c.name == name).limit(_SHOWN)
        with self._database.read() as connection:
            rows = connection.execute(by_id).all() or connection.execute(by_name).all()
        if not rows:
            raise NotKnown(_unknown(name))
        if len(rows) > 1:
            ids = ", ".join(row.agent_id for row in rows)
            raise Ambiguous(f"several endpoints are named '{name}'; give an agent's id: {ids}")
        return as_endpoint(rows[0])

    def report(self, agent_id: str) -> str:
        """Return the JSON of what an agent said when it last synchronized; "" if it never did."""
        query = select(endpoints.c.report).where(endpoints.c.agent_id == agent_id)
        with self._database.read() as connection:
            return str(connection.execute(query).scalar() or "")

    def by_digest(self, digest: str) -> Endpoint | None:
        """Return the endpoint of a certificate, present or renewed; also a revoked one."""
        with self._database.read() as connection:
            row = connection.execute(_BY_DIGEST, {"digest": digest}).first()
        return None if row is None else as_endpoint(row)

    def list(self) -> list[Endpoint]:
        """Return all endpoints in the order of their enrolment."""
        query = SELECT.order_by(endpoints.c.enrolled_us)
        with self._database.read() as connection:
            return [as_endpoint(row) for row in connection.execute(query).all()]

    def confirm(self, endpoint: Endpoint) -> Endpoint:
        """Put the renewed certificate, which the agent has shown, in place of the one before."""
        now = now_us()
        values = {
            "digest": endpoint.next_digest,
            "not_after_us": endpoint.next_not_after_us,
            "next_digest": None,
            "next_not_after_us": 0,
            "renewed_us": now,
        }
        shown = endpoints.c.next_digest == endpoint.next_digest
        key = endpoints.c.agent_id == endpoint.agent_id
        with self._database.write() as connection:
            changed = connection.execute(update(endpoints).where(key & shown).values(**values))
            if changed.rowcount:
                record(connection, "endpoint renew", endpoint.agent_id, user=endpoint.agent_id)
            return as_endpoint(connection.execute(SELECT.where(key)).one())

    def revoke(self, agent_id: str, reason: str = "") -> Endpoint:
        """Shut an agent out from now on; returns its row. Raises NotKnown.

        One that is revoked already keeps its time and, if none is given, its reason.
        """
        key = endpoints.c.agent_id == agent_id
        with self._database.write() as connection:
            before = connection.execute(SELECT.where(key).with_for_update()).first()
            if before is None:
                raise NotKnown(_unknown(agent_id))
            values = {
                "state": REVOKED,
                "revoked_us": before.revoked_us or now_us(),
                "revoked_reason": reason[:256] or before.revoked_reason,
            }
            connection.execute(update(endpoints).where(key).values(**values))
            record(connection, "endpoint revoke", agent_id, reason[:256])
            return as_endpoint(connection.execute(SELECT.where(key)).one())

    @property
    def gathers_contacts(self) -> bool:
        """Whether `note_contact` returns at once."""
        return self._contacts is not None

    def note_contact(self, endpoint: Endpoint, address: str, agent_version: str = "") -> None:
        """Note that an agent was heard just now; written at most every few seconds.

        Blocks only without `contacts`.
        """
        now = now_us()
        fresh = now - endpoint.last_contact_us < _CONTACT_EVERY_US
        version = agent_version[:64] or endpoint.agent_version
        if fresh and version == endpoint.agent_version and address == endpoint.address:
            return
        if self._contacts is not None:
            self._contacts.add(endpoint.agent_id, now, address, version)
            return
        values = {"last_contact_us": now, "address": address, "agent_version": version}
        key = endpoints.c.agent_id == endpoint.agent_id
        with self._database.write() as connection:
            connection.execute(update(endpoints).where(key).values(**values))


def _unknown(name: str) -> str:
    return f"no endpoint '{name}'; see: deodar edr endpoints list"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token_text(url: str, pin: str, secret: str) -> str:
    data = msgspec.json.encode({"url": url, "pin": pin, "secret": secret})
    return PREFIX + base64.urlsafe_b64encode(data).decode()


def _endpoint_row(
    agent_id: str, certificate: bytes, host: Host, address: str, now: int
) -> dict[str, Any]:
    return {
        "agent_id": agent_id,
        "digest": certificates.fingerprint(certificate),
        "state": ENROLLED,
        "name": host.name[:256],
        "os_name": host.os_name[:256],
        "os_version": host.os_version[:256],
        "machine_id": host.machine_id[:128],
        "agent_version": host.agent_version[:64],
        "address": address,
        "enrolled_us": now,
        "not_after_us": not_after_us(certificate),
    }


def _inherited(connection: Connection, request: EnrolmentRequest) -> dict[str, str]:
    """Return group, tags and predecessor: a host that is known keeps what it was given.

    The token's group counts if it is not the default one. Copies of one machine may share their
    machine id, so the endpoint before is left as it is.
    """
    token = enrolment_tokens
    invited = select(token.c.group_name).where(token.c.hash == _hash(request.token))
    group = str(connection.execute(invited).scalar() or DEFAULT_GROUP)
    machine = request.host.machine_id[:128]
    known = None
    if machine:
        same = endpoints.c.machine_id == machine
        latest = SELECT.where(same).order_by(endpoints.c.enrolled_us.desc()).limit(1)
        known = connection.execute(latest).first()
    if known is None:
        return {"group_name": group, "tags": "", "replaces": ""}
    kept = known.group_name if group == DEFAULT_GROUP else group
    return {"group_name": kept, "tags": known.tags, "replaces": known.agent_id}


def _check_group(connection: Connection, name: str) -> None:
    known = select(endpoint_groups.c.name).where(endpoint_groups.c.name == name)
    if connection.execute(known).first() is None:
        raise NotKnown(f"no group '{name[:100]}'; see: deodar edr group list")


def not_after_us(certificate: bytes) -> int:
    """Return until when a certificate (PEM) is good, in µs since the epoch."""
    return int(certificates.validity(certificate).end.timestamp()) * 1_000_000
