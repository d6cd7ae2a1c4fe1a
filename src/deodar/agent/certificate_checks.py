"""What is in a certificate, and whether it is good enough to be taken.

Used by the command line only: the running agent has no library for this.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from deodar.agent.certificate_facts import CLIENT, SERVER, WARN_DAYS, CertificateFacts
from deodar.tls.pem import load_certificates

LEAST_RSA, LEAST_EC = 2048, 256
_PURPOSES = {SERVER: ExtendedKeyUsageOID.SERVER_AUTH, CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}


def facts_of(kind: str, certificate: x509.Certificate) -> CertificateFacts:
    """Return what is in a certificate, for people."""
    return CertificateFacts(
        kind=kind,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:X}",
        not_before=_iso(certificate.not_valid_before_utc),
        not_after=_iso(certificate.not_valid_after_utc),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        is_authority=_is_authority(certificate),
        key=_key_words(certificate),
    )


def facts_of_pem(kind: str, pem: bytes) -> CertificateFacts:
    """Return what is in the first certificate of a PEM text; raises CertificateError."""
    return facts_of(kind, load_certificates(pem)[0])


def wrong_dates(certificate: x509.Certificate, now: datetime) -> str:
    """Return why a certificate is not valid now; "" when it is."""
    if now < certificate.not_valid_before_utc:
        begin = _iso(certificate.not_valid_before_utc)
        return f"the certificate is not valid before {begin}; is this host's clock right?"
    if now > certificate.not_valid_after_utc:
        return f"the certificate has expired ({_iso(certificate.not_valid_after_utc)})"
    return ""


def weakness(certificate: x509.Certificate) -> str:
    """Return why a certificate protects nothing; "" when it does."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA:
        return f"its RSA key of {key.key_size} bits is too short; {LEAST_RSA} are needed"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < LEAST_EC:
        return f"its EC key of {key.key_size} bits is too short; {LEAST_EC} are needed"
    kinds = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)
    if not isinstance(key, (*kinds, ed448.Ed448PublicKey)):
        return "its key is of a kind that TLS does not use any more; RSA or EC is needed"
    signed = certificate.signature_hash_algorithm
    own = certificate.issuer == certificate.subject  # its own signature protects nothing
    if not own and isinstance(signed, hashes.MD5 | hashes.SHA1):
        return f"it is signed with {signed.name.upper()}, which can be forged"
    return ""


def fits(kind: str, certificate: x509.Certificate) -> bool:
    """Whether a certificate may be used by that kind of party."""
    if _is_authority(certificate):
        return kind == SERVER
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return _PURPOSES[kind] in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _key_words(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def warnings_about(certificate: x509.Certificate, now: datetime) -> list[str]:
    """Return what an administrator should know of a certificate that is taken."""
    left = certificate.not_valid_after_utc - now
    if left > timedelta(days=WARN_DAYS):
        return []
    days = round(left / timedelta(days=1))
    end = _iso(certificate.not_valid_after_utc)
    return [f"warning: it expires in {days} days ({end}); have a new one issued before that"]


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
