"""TLS contexts for the programs: a server that takes any client, and clients that pin the server.

A pinned client knows the server by the SHA-256 of its certificate, or of the authority that issued
it; names and public authorities play no part. All of them work wherever an ``ssl.SSLContext``
does, so also as ``httpx.Client(verify=context)``.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from deodar.tls.certificates import Pair, Purpose, check_issued, fingerprint, load_certificates
from deodar.tls.errors import CertificateError, PinError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_Context = TypeVar("_Context", bound=ssl.SSLContext)

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def any_client(certificate_pem: bytes, key_pem: bytes) -> ssl.SSLContext:
    """Return a server's context that asks for a client certificate and takes any, or none.

    TLS 1.2 or newer. The certificate may be followed by its issuers'. For asyncio only. Raises
    CertificateError when certificate and key are malformed or do not fit.
    """
    # Only servers need pyOpenSSL; an agent's installation does not have it.
    from deodar.tls.anyclient import AnyClientContext  # noqa: PLC0415

    return AnyClientContext(certificate_pem, key_pem)


def pinned_client(
    pins: Sequence[str] | bytes, pair: Pair | None = None, *, host_names: bool = False
) -> ssl.SSLContext:
    """Return a client's context that talks to one known server only, showing `pair` if given.

    `pins` are SHA-256 fingerprints (hex, colons allowed) of the server's certificate, which is
    then good whatever its dates, or of an authority that issued it and that the server shows
    along; or they are the authorities' certificates as PEM. Names are compared only with
    `host_names`, which needs PEM. Another server gives ssl.SSLCertVerificationError from the
    handshake, which names both fingerprints. Raises PinError or CertificateError for unusable
    arguments.
    """
    if isinstance(pins, bytes):
        context = _by_authority(pins)
        context.check_hostname = host_names
    elif host_names:
        raise PinError("host names can be compared only when the authority's PEM is given")
    else:
        context = _by_fingerprint([pins] if isinstance(pins, str) else pins)
    _show(context, pair)
    return context


def first_use_client(
    known: str, learned: Callable[[str], None], pair: Pair | None = None
) -> ssl.SSLContext:
    """Return a client's context that trusts the first server it meets, and only that from then on.

    `known` is the SHA-256 of that server's certificate, "" before it was met. `learned` gets it in
    the first handshake, before a byte is sent; what it raises ends the handshake. Another server
    gives ssl.SSLCertVerificationError, as with `pinned_client`.
    """
    context = _client(_FirstUseContext)
    context.pins = (_pin(known),) if known else ()
    context.learned = learned
    context.sslsocket_class = _PinnedSocket
    context.sslobject_class = _PinnedObject
    _show(context, pair)
    return context


def unverified_client(pair: Pair | None = None) -> ssl.SSLContext:
    """Return a client's context that talks to any server: for trials, never for production."""
    context = _client(ssl.SSLContext)
    _show(context, pair)
    return context


class _PinnedContext(ssl.SSLContext):
    """A client's context whose connections check the server's fingerprint."""

    pins: tuple[str, ...] = ()

    def check(self, leaf: bytes | None, chain: Sequence[bytes]) -> None:
        """Raise ssl.SSLCertVerificationError unless leaf or chain (DER) carries a pin."""
        if leaf is None:
            raise ssl.SSLCertVerificationError(1, "the server showed no certificate")
        if self._has(leaf):
            return
        now = datetime.now(UTC)
        for authority in filter(self._has, chain):
            problem = check_issued(leaf, _as_pem(authority), now, Purpose.SERVER)
            if problem is None:
                return
            raise ssl.SSLCertVerificationError(1, f"the server's certificate {problem}")
        raise ssl.SSLCertVerificationError(1, self._mismatch(leaf))

    def _has(self, certificate: bytes) -> bool:
        digest = hashlib.sha256(certificate).hexdigest()
        return any(hmac.compare_digest(digest, pin) for pin in self.pins)

    def _mismatch(self, leaf: bytes) -> str:
        return (
            f"this is another server: its certificate's SHA-256 is {fingerprint(leaf)}, "
            f"expected {' or '.join(self.pins)} (or a certificate issued by its owner)"
        )


class _FirstUseContext(_PinnedContext):
    """A pinned context that takes its pin from the first server that it meets."""

    learned: Callable[[str], None]

    def check(self, leaf: bytes | None, chain: Sequence[bytes]) -> None:
        if leaf is not None and not self.pins:
            digest = fingerprint(leaf)
            self.learned(digest)
            self.pins = (digest,)
        super().check(leaf, chain)


class _PinnedSocket(ssl.SSLSocket):
    """Used by blocking clients."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        _check_peer(self)


class _PinnedObject(ssl.SSLObject):
    """Used by asyncio clients."""

    def do_handshake(self) -> None:
        super().do_handshake()
        _check_peer(self)


def _check_peer(connection: ssl.SSLSocket | ssl.SSLObject) -> None:
    context = connection.context
    assert isinstance(context, _PinnedContext)  # noqa: S101  # by construction
    context.check(connection.getpeercert(binary_form=True), _shown_chain(connection))


def _shown_chain(connection: Any) -> list[bytes]:
    """Return all certificates that the peer showed, as DER."""
    public = getattr(connection, "get_unverified_chain", None)  # since Python 3.13
    if public is not None:
        return list(public())
    # Python 3.11 and 3.12 have it one layer below, with certificates as objects.
    chain = connection._sslobj.get_unverified_chain() or ()
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]


def _as_pem(certificate: bytes) -> bytes:
    try:
        return load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    except ValueError as error:
        raise ssl.SSLCertVerificationError(1, f"unreadable authority: {error}") from error


def _by_fingerprint(pins: Sequence[str]) -> ssl.SSLContext:
    context = _client(_PinnedContext)
    context.pins = tuple(_pin(text) for text in pins)
    if not context.pins:
        raise PinError("no fingerprint given; a pinned client needs at least one")
    context.sslsocket_class = _PinnedSocket
    context.sslobject_class = _PinnedObject
    return context


def _pin(text: str) -> str:
    digits = text.strip().removeprefix("sha256:").replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(digits):
        raise PinError(
            f"{text!r} is no fingerprint; give the SHA-256 of the certificate, 64 hex digits"
        )
    return digits


def _by_authority(pem: bytes) -> ssl.SSLContext:
    text = b"".join(item.public_bytes(Encoding.PEM) for item in load_certificates(pem))
    context = _client(ssl.SSLContext)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=text.decode("ascii"))
    return context


def _client(kind: type[_Context]) -> _Context:
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _show(context: ssl.SSLContext, pair: Pair | None) -> None:
    """Make the context show this certificate to servers that ask for one."""
    if pair is None:
        return
    try:
        with _in_memory(pair.pem) as path:
            context.load_cert_chain(path)
    except ssl.SSLError as error:
        raise CertificateError(f"certificate and key cannot be used: {error}") from error


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """Give a path to `data` that never touches a disk: `ssl` reads keys from files only."""
    descriptor = os.memfd_create("pair", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
