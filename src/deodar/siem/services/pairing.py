"""Pairing: a one-time token against a certificate for the service's own key, and what follows it.

A token's secret is shown once and kept as its SHA-256; it is used up in the same transaction that
names the certificate. With each certificate comes a recovery secret, of which again only the
SHA-256 is kept. After a reset of the certificate, and only then, it is the proof by which the
service gets the next one; it is used up by that. A service whose host is not trusted any more is
reset with a new token instead, and the recovery secret is void.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from deodar.kit.acting import Actor
from deodar.siem.errors import NotKnown, NotPossible, PairingRefused
from deodar.siem.services.database import now_us, record
from deodar.siem.services.tables import certificates, pairing_tokens, services
from deodar.siem.services.wire import hash_of
from deodar.tls.certificates import fingerprint, issue_service, validity
from deodar.tls.errors import CertificateError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from deodar.siem.services.database import Database
    from deodar.siem.services.settings import ServicesSettings
    from deodar.siem.services.wire import Host, PairRequest, ReissueRequest, RenewRequest
    from deodar.tls.certificates import Pair

PREFIX = "deodar-service:"
_NOT_GOOD = (
    "the pairing token is unknown, used or outdated; make a new one on the core's host with: "
    "deodar siem service token NAME"
)


@dataclass(frozen=True)
class Invitation:
    """A new pairing token for one service, and when it ends (µs)."""

    service_id: str
    name: str
    token: str
    expires_us: int


@dataclass(frozen=True)
class Holder:
    """Whose certificate it is; `refused` when it is no longer good or the service is gone."""

    service_id: str
    name: str
    digest: str
    refused: bool
    deleted: bool
    disabled: bool


@dataclass(frozen=True)
class Given:
    """A certificate (PEM) and the recovery secret that goes with it."""

    name: str
    certificate: bytes
    recovery: str


class Pairing:
    """Tokens and certificates of one core's services; safe to use from several threads."""

    def __init__(self, database: Database, authority: Pair, settings: ServicesSettings) -> None:
        self._database = database
        self._authority = authority
        self._settings = settings

    def invite(self, name: str) -> Invitation:
        """Make a token for one service; those before it are void. Raises NotKnown, NotPossible."""
        with self._database.write() as connection:
            row = _service(connection, name)
            if row.local:
                raise NotPossible(f"{row.name} runs on the core's own host and needs no token")
            return self._invite(connection, row)

    def pair(self, service_id: str, asked: PairRequest, address: str) -> Given:
        """Use up a token: certificates from before are refused. Raises PairingRefused.

        A bad certificate request leaves the token unused.
        """
        table = pairing_tokens
        good = (
            (table.c.hash == hash_of(asked.token))
            & (table.c.service_id == service_id)
            & (table.c.expires_us > now_us())
        )
        with self._database.write() as connection:
            row = _find(connection, service_id)
            if row is None or connection.execute(select(table.c.hash).where(good)).first() is None:
                raise PairingRefused(_NOT_GOOD)
            given = self._issue(connection, row, asked.request, asked.host)
            connection.execute(delete(table).where(table.c.service_id == service_id))
            paired = {"paired_us": now_us(), "address": address[:64]}
            mine = services.c.id == service_id
            connection.execute(update(services).where(mine).values(**paired))
            told = f"{asked.host.fqdn}, {asked.host.version}"
            record(connection, "service paired", row.name, told, _by(row.name, address))
            return given

    def reissue(self, service_id: str, asked: ReissueRequest, address: str) -> Given:
        """Give a service whose certificate was reset another one; raises PairingRefused."""
        with self._database.write() as connection:
            row = _find(connection, service_id)
            proof = hash_of(asked.recovery)
            if row is None or not row.recovery or not hmac.compare_digest(proof, row.recovery):
                raise PairingRefused("the recovery secret is not good; pair again with a new token")
            if _good(connection, service_id):
                raise PairingRefused("the certificate was not reset: renew it by itself")
            given = self._issue(connection, row, asked.request)
            record(connection, "service certificate issued", row.name, "", _by(row.name, address))
            return given

    def renew(self, holder: Holder, asked: RenewRequest, address: str) -> Given:
        """Give a service another certificate beside the present one, which ends by its use."""
        with self._database.write() as connection:
            row = _find(connection, holder.service_id)
            if row is None or holder.digest not in _good(connection, holder.service_id):
                raise PairingRefused("the certificate is no longer good")
            given = self._issue(connection, row, asked.request, keep=holder.digest)
            record(connection, "service certificate renewed", row.name, "", _by(row.name, address))
            return given

    def reset(self, name: str, *, new_token: bool) -> Invitation | None:
        """Refuse a service's certificates from now on; with `new_token` its recovery secret too.

        Returns the token, if one is asked for. Raises NotKnown, NotPossible.
        """
        with self._database.write() as connection:
            row = _service(connection, name)
            refuse_certificates(connection, row.id)
            record(connection, "service certificate reset", row.name)
            if not new_token:
                return None
            if row.local:
                raise NotPossible(f"{row.name} runs on the core's own host and needs no token")
            mine = services.c.id == row.id
            connection.execute(update(services).where(mine).values(recovery=""))
            return self._invite(connection, row)

    def name_certificate(self, service_id: str, pem: bytes) -> None:
        """Let in a certificate that was issued by other ways, on the core's own host."""
        with self._database.write() as connection:
            digest = certificates.c.digest
            known = select(digest).where(digest == fingerprint(pem))
            if connection.execute(known).first() is None:
                _name(connection, service_id, pem)

    def was_refused(self, pem: bytes) -> bool:
        """Whether a certificate was let in before, and is no longer."""
        table = certificates
        refused = (table.c.digest == fingerprint(pem)) & (table.c.refused_us != 0)
        with self._database.read() as connection:
            return connection.execute(select(table.c.digest).where(refused)).first() is not None

    def holder(self, digest: str) -> Holder | None:
        """Return whose certificate this is, None for one that nobody here was given."""
        query = (
            select(certificates, services.c.name, services.c.disabled_us)
            .join(services, services.c.id == certificates.c.service_id, isouter=True)
            .where(certificates.c.digest == digest)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        deleted = row.name is None
        return Holder(
            row.service_id,
            row.name or row.service_id,
            digest,
            refused=bool(row.refused_us) or deleted,
            deleted=deleted,
            disabled=bool(row.disabled_us),
        )

    def used(self, holder: Holder) -> None:
        """Refuse the certificates from before the one that a service shows now."""
        table = certificates
        with self._database.read() as connection:
            if len(_good(connection, holder.service_id)) < 2:
                return
        issued = select(table.c.issued_us).where(table.c.digest == holder.digest)
        older = (table.c.service_id == holder.service_id) & (
            table.c.issued_us < issued.scalar_subquery()
        )
        with self._database.write() as connection:
            refused = older & (table.c.refused_us == 0)
            connection.execute(update(table).where(refused).values(refused_us=now_us()))

    def _invite(self, connection: Connection, row: Row[Any]) -> Invitation:
        secret, now = PREFIX + secrets.token_urlsafe(32), now_us()
        expires = now + int(self._settings.token_hours * 3600e6)
        table = pairing_tokens
        connection.execute(delete(table).where(table.c.service_id == row.id))
        made = {"service_id": row.id, "created_us": now, "expires_us": expires}
        connection.execute(insert(table).values(hash=hash_of(secret), **made))
        record(connection, "pairing token created", row.name)
        return Invitation(row.id, row.name, secret, expires)

    def _issue(
        self,
        connection: Connection,
        row: Row[Any],
        request: str,
        host: Host | None = None,
        keep: str = "",
    ) -> Given:
        """Issue a certificate and name it; others of the service but `keep` are refused."""
        try:
            names = [host.fqdn] if host and host.fqdn else []
            pem = issue_service(
                self._authority, request.encode(), row.id, names, self._settings.certificate_days
            )
        except (CertificateError, ValueError) as error:
            raise PairingRefused(f"the certificate request is not good: {error}") from error
        refuse_certificates(connection, row.id, keep)
        _name(connection, row.id, pem)
        recovery = secrets.token_urlsafe(32)
        mine = services.c.id == row.id
        connection.execute(update(services).where(mine).values(recovery=hash_of(recovery)))
        return Given(row.name, pem, recovery)


def refuse_certificates(connection: Connection, service_id: str, keep: str = "") -> None:
    """Refuse every certificate of a service from now on, but `keep`."""
    table = certificates
    mine = (table.c.service_id == service_id) & (table.c.refused_us == 0)
    if keep:
        mine &= table.c.digest != keep
    connection.execute(update(table).where(mine).values(refused_us=now_us()))


def _good(connection: Connection, service_id: str) -> set[str]:
    table = certificates
    mine = (table.c.service_id == service_id) & (table.c.refused_us == 0)
    return set(connection.execute(select(table.c.digest).where(mine)).scalars())


def _name(connection: Connection, service_id: str, pem: bytes) -> None:
    row = {
        "digest": fingerprint(pem),
        "service_id": service_id,
        "issued_us": now_us(),
        "not_after_us": int(validity(pem).end.timestamp() * 1e6),
    }
    connection.execute(insert(certificates).values(**row))


def _find(connection: Connection, name: str) -> Row[Any] | None:
    which = (services.c.id == name) | (services.c.name == name)
    return connection.execute(select(services).where(which)).first()


def _service(connection: Connection, name: str) -> Row[Any]:
    row = _find(connection, name)
    if row is None:
        raise NotKnown(f"no service '{name[:64]}'; see: deodar siem service list")
    return row


def _by(name: str, address: str) -> Actor:
    return Actor(f"service {name}"[:128], address)
