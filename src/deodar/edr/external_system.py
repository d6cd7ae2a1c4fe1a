"""What is known of an external system, and of a caller that says to be one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from typing import Any

import msgspec

from deodar.edr.database import now_us
from deodar.tls import certificates
from deodar.tls.errors import CertificateError

PENDING, ACCEPTED, REJECTED = "pending", "accepted", "rejected"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)


class ExternalSystem(msgspec.Struct, frozen=True):
    """One row: an accepted or rejected system, or a pending request. Times are µs, 0 for never."""

    number: int
    id: str
    ip: str
    digest: str
    state: str
    name: str
    subject: str
    not_before_us: int
    not_after_us: int
    first_seen_us: int
    last_seen_us: int
    last_fetch_us: int
    decided_us: int
    last_seq: int
    fetched_events: int

    def problem(self, at_us: int) -> str | None:
        """Return what is wrong with the certificate's dates at a time, or None."""
        if at_us < self.not_before_us:
            return "is not valid yet"
        return "has expired" if at_us > self.not_after_us else None


class Access(Enum):
    """What a request may do."""

    GRANTED = "granted"
    UNAUTHORIZED = "unauthorized"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Caller:
    """Who asks: the id in the URL, the peer's address, the certificate that it showed (DER)."""

    id: str
    ip: str
    certificate: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the certificate, lower-case hex."""
        return certificates.fingerprint(self.certificate)


def valid_id(text: str) -> bool:
    """Whether a text can be the id of an external system (a UUID, as a rule)."""
    return _ID.fullmatch(text) is not None


def request_row(caller: Caller, digest: str) -> dict[str, Any]:
    """Return the row of a caller's pending request."""
    now = now_us()
    begin, end, subject = _dates(caller.certificate)
    return {
        "id": caller.id,
        "ip": caller.ip,
        "digest": digest,
        "state": PENDING,
        "subject": subject[:256],
        "not_before_us": begin,
        "not_after_us": end,
        "first_seen_us": now,
        "last_seen_us": now,
    }


def _dates(certificate: bytes) -> tuple[int, int, str]:
    """Return the certificate's first and last moment in µs, and its subject.

    One that cannot be read gets dates that are never good.
    """
    try:
        begin, end = certificates.validity(certificate)
        return _us(begin), _us(end), certificates.subject_name(certificate)
    except (CertificateError, ValueError):
        return 0, 0, ""


def _us(moment: datetime) -> int:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return int((moment - epoch).total_seconds()) * 1_000_000
