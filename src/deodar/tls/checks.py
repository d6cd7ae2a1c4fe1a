"""Whether a certificate that a peer showed was issued by an authority of ours, and is good now."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from deodar.tls.pem import first_certificate

if TYPE_CHECKING:
    from datetime import datetime


class CertificateProblem(StrEnum):
    """Why a certificate is not good; the value completes «the certificate …»."""

    MALFORMED = "cannot be read"
    OTHER_AUTHORITY = "was not issued by this authority"
    EXPIRED = "has expired"
    NOT_YET_VALID = "is not valid yet"
    IS_AUTHORITY = "is an authority's, not an end entity's"
    OTHER_PURPOSE = "was issued for another purpose"


class Purpose(StrEnum):
    """What an issued certificate may be used for."""

    SERVER = "server"
    CLIENT = "client"


_USAGES = {
    Purpose.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Purpose.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}


def check_issued(
    certificate: bytes, authority_pem: bytes, now: datetime, purpose: Purpose | None = None
) -> CertificateProblem | None:
    """Return what is wrong with an end entity's certificate (DER) at `now`, or None.

    Checks the authority's signature, both dates, that it is no authority itself, and the purpose
    if one is given. `now` must be aware of its time zone. Raises CertificateError only when
    `authority_pem` itself is unreadable.
    """
    authority = first_certificate(authority_pem)
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        _verify_issuer(parsed, authority)
        return check_dates(parsed, now) or _role(parsed, purpose)
    except (InvalidSignature, TypeError):
        return CertificateProblem.OTHER_AUTHORITY
    except Exception:  # noqa: BLE001  # a stranger's bytes: whatever the parser cannot do
        return CertificateProblem.MALFORMED


def check_dates(certificate: x509.Certificate, now: datetime) -> CertificateProblem | None:
    """Return whether the certificate is too young or too old at `now`, or None."""
    if now < certificate.not_valid_before_utc:
        return CertificateProblem.NOT_YET_VALID
    if now > certificate.not_valid_after_utc:
        return CertificateProblem.EXPIRED
    return None


def _verify_issuer(certificate: x509.Certificate, authority: x509.Certificate) -> None:
    if certificate.issuer != authority.subject:
        raise InvalidSignature
    certificate.verify_directly_issued_by(authority)


def _role(certificate: x509.Certificate, purpose: Purpose | None) -> CertificateProblem | None:
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return CertificateProblem.IS_AUTHORITY
    except x509.ExtensionNotFound:
        pass
    if purpose is None:
        return None
    wanted = _USAGES[purpose]
    try:
        allowed = wanted in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        allowed = False
    return None if allowed else CertificateProblem.OTHER_PURPOSE
