"""Reading and writing certificates and keys as PEM and DER."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from deodar.tls.errors import CertificateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

_PEM_BLOCK = re.compile(
    rb"-----BEGIN (?P<kind>[A-Z0-9 ]+)-----.+?-----END (?P=kind)-----", re.DOTALL
)


@dataclass(frozen=True)
class Pair:
    """A certificate with its key: PEM text, the key as unencrypted PKCS#8.

    `certificate` may go on with the certificates of its issuers; its own comes first.
    """

    certificate: bytes
    key: bytes

    @property
    def pem(self) -> bytes:
        """Key and certificate as one file, the way that `load_pair` and curl read it."""
        return self.key + self.certificate


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate's DER, 64 lower-case hex digits.

    Takes DER, or PEM of which it uses the first certificate. Raises CertificateError when there
    is no certificate in it. DER is not parsed: whatever a TLS peer showed has a fingerprint.
    """
    return hashlib.sha256(der(certificate)).hexdigest()


def der(certificate: bytes) -> bytes:
    """Return the DER of PEM's first certificate; DER is returned as it is.

    Raises CertificateError when `certificate` is neither.
    """
    if certificate[:1] == b"\x30":
        return certificate
    return first_certificate(certificate).public_bytes(serialization.Encoding.DER)


def subject_name(certificate: bytes) -> str:
    """Return the common name of a certificate (DER or PEM), "" when it has none.

    Raises CertificateError when it cannot be read.
    """
    with reading("the certificate"):
        found = _parsed(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


class Validity(NamedTuple):
    """The first and the last moment of a certificate, aware of the time zone (UTC)."""

    begin: datetime
    end: datetime


def validity(certificate: bytes) -> Validity:
    """Return from when until when a certificate (DER or PEM) is valid.

    Raises CertificateError when it cannot be read.
    """
    with reading("the certificate"):
        parsed = _parsed(certificate)
        return Validity(parsed.not_valid_before_utc, parsed.not_valid_after_utc)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """Return a private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _blocks(pem: bytes) -> list[tuple[bytes, bytes]]:
    """Return (kind, text) of the PEM blocks, the kind such as b"CERTIFICATE"."""
    return [(match["kind"], match[0] + b"\n") for match in _PEM_BLOCK.finditer(pem)]


def load_key(pem: bytes) -> CertificateIssuerPrivateKeyTypes:
    """Return the one private key in a PEM text.

    Raises CertificateError when there is none or more than one, or it is encrypted or malformed.
    """
    keys = [block for kind, block in _blocks(pem) if kind.endswith(b"PRIVATE KEY")]
    if len(keys) != 1:
        raise CertificateError(
            f"{len(keys)} private keys found, exactly one is needed; "
            "put certificate and key, both as PEM, into one file"
        )
    if b"ENCRYPTED" in keys[0]:
        raise CertificateError(
            "the private key is encrypted; store it without a passphrase "
            "(openssl pkey -in OLD -out NEW) in a file that only the service may read"
        )
    with reading("the private key"):
        key: CertificateIssuerPrivateKeyTypes = serialization.load_pem_private_key(keys[0], None)  # type: ignore[assignment]
    return key


def load_certificates(pem: bytes) -> list[x509.Certificate]:
    """Return every certificate in a PEM text, in order.

    Raises CertificateError when there is none or one is malformed.
    """
    blocks = [block for kind, block in _blocks(pem) if kind == b"CERTIFICATE"]
    if not blocks:
        raise CertificateError("no certificate found; put it there as PEM (BEGIN CERTIFICATE)")
    with reading("a certificate"):
        return [x509.load_pem_x509_certificate(block) for block in blocks]


def first_certificate(pem: bytes) -> x509.Certificate:
    """Return the first certificate of a PEM text; raises CertificateError without one."""
    return load_certificates(pem)[0]


def _parsed(certificate: bytes) -> x509.Certificate:
    if certificate[:1] != b"\x30":
        return first_certificate(certificate)
    return x509.load_der_x509_certificate(certificate)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Tell whatever the parser cannot do as a CertificateError.

    It has many ways to say no, and parses some parts only when they are asked for.
    """
    try:
        yield
    except CertificateError:
        raise
    except Exception as error:
        raise CertificateError(f"{what} cannot be read: {error}") from error


def same_key(certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes) -> bool:
    """Return whether the certificate was made for this key."""
    encoding = serialization.Encoding.DER
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(encoding, form) == key.public_key().public_bytes(
        encoding, form
    )


def describe(certificate: x509.Certificate) -> str:
    """Return words for a certificate in a message: «the certificate CN=…»."""
    name = certificate.subject.rfc4514_string() or "without a name"
    return f"the certificate {name}"
