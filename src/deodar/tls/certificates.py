"""Making, loading and checking X.509 certificates.

Each Deodar server has an authority of its own. It issues the server's certificate and those of
the agents or services that were enrolled. External systems of the KATA events API come with
certificates that they signed themselves, usually RSA-2048, and are known by their fingerprint.
Keys are EC P-256 elsewhere.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deodar.tls.checks import CertificateProblem, Purpose, check_dates, check_issued
from deodar.tls.errors import CertificateError
from deodar.tls.pem import (
    Pair,
    Validity,
    certificate_pem,
    der,
    describe,
    fingerprint,
    first_certificate,
    key_pem,
    load_certificates,
    load_key,
    reading,
    same_key,
    subject_name,
    validity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

__all__ = [
    "CertificateProblem",
    "Pair",
    "Purpose",
    "Validity",
    "check_issued",
    "der",
    "fingerprint",
    "issue_client",
    "issue_server",
    "issue_service",
    "load_certificates",
    "load_pair",
    "make_authority",
    "make_request",
    "self_signed",
    "subject_name",
    "validity",
]

_CLOCK_SKEW = timedelta(hours=1)
_NAME_LIMIT = 64  # characters of a common name, RFC 5280
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH
_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


def make_authority(name: str, days: int = 3650) -> Pair:
    """Return a new authority: a self-signed EC P-256 certificate that may issue end entities."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = _usage(signature=False, authority=True)
    draft = (
        _draft(_name(name), key.public_key(), days)
        .issuer_name(_name(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return Pair(certificate_pem(draft.sign(key, hashes.SHA256())), key_pem(key))


def self_signed(common_name: str, days: int = 365, names: Sequence[str] = ()) -> Pair:
    """Return a self-signed RSA-2048 identity, as external systems of KATA use it.

    `names` are host names or addresses for its subjectAltName.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    draft = _end_entity(_name(common_name), key.public_key(), days, (_CLIENT, _SERVER))
    if names:
        draft = draft.add_extension(_alternatives(names), critical=False)
    draft = draft.issuer_name(_name(common_name))
    return Pair(certificate_pem(draft.sign(key, hashes.SHA256())), key_pem(key))


def issue_server(authority: Pair, names: Sequence[str], days: int = 825) -> Pair:
    """Return a server's pair for these host names and addresses, issued by `authority`.

    The certificate text goes on with the authority's own certificate, so that clients which know
    only the authority's fingerprint get to see it. Raises CertificateError when `names` is empty.
    """
    if not names:
        raise CertificateError("a server certificate needs at least one host name or address")
    key = ec.generate_private_key(ec.SECP256R1())
    draft = _end_entity(_name(names[0]), key.public_key(), days, (_SERVER,))
    draft = draft.add_extension(_alternatives(names), critical=False)
    issued = _issue(draft, authority)
    return Pair(issued + authority.certificate, key_pem(key))


def make_request(common_name: str) -> tuple[bytes, bytes]:
    """Return (certificate request, its new EC P-256 key), both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name))
    signed = request.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM), key_pem(key)


def issue_client(authority: Pair, request_pem: bytes, common_name: str, days: int = 365) -> bytes:
    """Return a client certificate (PEM) for the key of a request.

    The subject is `common_name`; nothing but the key is taken from the request. Raises
    CertificateError when the request is malformed, not signed by its key, or its key too weak.
    """
    key = _request_key(request_pem)
    return _issue(_end_entity(_name(common_name), key, days, (_CLIENT,)), authority)


def issue_service(
    authority: Pair,
    request_pem: bytes,
    common_name: str,
    names: Sequence[str] = (),
    days: int = 365,
) -> bytes:
    """Return a certificate (PEM) for the key of a request, good for a client and a server alike.

    A service shows it to its core, and to those who ask the service itself under one of `names`.
    Raises CertificateError for a bad request or name.
    """
    key = _request_key(request_pem)
    draft = _end_entity(_name(common_name), key, days, (_CLIENT, _SERVER))
    if names:
        draft = draft.add_extension(_alternatives(names), critical=False)
    return _issue(draft, authority)


def load_pair(pem: bytes, now: datetime | None = None) -> Pair:
    """Return the certificate and key that one PEM text holds, in whatever order they stand.

    More certificates are kept behind the one that fits the key. `now` is when the certificate
    must be valid (this moment, if None). Raises CertificateError when a part is missing, encrypted,
    malformed or outside its dates, or when no certificate fits the key.
    """
    key = load_key(pem)
    certificates = load_certificates(pem)
    with reading("a certificate"):
        own = [item for item in certificates if same_key(item, key)]
    if not own:
        raise CertificateError(
            f"no certificate here fits the key: {describe(certificates[0])} has another public "
            "key; put the key next to the certificate that was made for it"
        )
    problem = check_dates(own[0], now or datetime.now(UTC))
    if problem is not None:
        raise CertificateError(f"{describe(own[0])} {problem}; make a new one")
    rest = [item for item in certificates if item is not own[0]]
    return Pair(b"".join(map(certificate_pem, [own[0], *rest])), key_pem(key))


# Building


def _name(common_name: str) -> x509.Name:
    if not common_name:
        raise CertificateError("a certificate needs a name; an empty one was given")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_NAME_LIMIT])])


def _draft(subject: x509.Name, key: PublicKeyTypes, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)  # type: ignore[arg-type]  # every kind that _request_key lets through
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)  # type: ignore[arg-type]
    )


def _end_entity(
    subject: x509.Name, key: PublicKeyTypes, days: int, purposes: Sequence[x509.ObjectIdentifier]
) -> x509.CertificateBuilder:
    return (
        _draft(subject, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signature=True, authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )


def _usage(*, signature: bool, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signature,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative(name) for name in names])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode("ascii"))
    except ValueError as error:
        raise CertificateError(f"{name!r} is no host name or address: {error}") from error


def _issue(draft: x509.CertificateBuilder, authority: Pair) -> bytes:
    issuer = first_certificate(authority.certificate)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    extension = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    draft = draft.issuer_name(issuer.subject).add_extension(extension, critical=False)
    return certificate_pem(draft.sign(load_key(authority.key), hashes.SHA256()))


def _request_key(request_pem: bytes) -> PublicKeyTypes:
    try:
        request = x509.load_pem_x509_csr(request_pem)
        signed, key = request.is_signature_valid, request.public_key()
    except Exception as error:  # whatever it cannot parse is a bad request
        raise CertificateError(f"this is no certificate request: {error}") from error
    if not signed:
        raise CertificateError("the certificate request is not signed by its own key")
    if not _strong(key):
        raise CertificateError(
            "the certificate request's key is too weak or of an unknown kind; "
            "use EC P-256 or better, Ed25519, or RSA of 2048 bits or more"
        )
    return key


def _strong(key: PublicKeyTypes) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return 2048 <= key.key_size <= 8192  # bits; larger ones only burn time
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    return isinstance(key, ed25519.Ed25519PublicKey)
