"""Certificate files as administrators get them: read, checked, made into what the agent keeps.

The server's certificate comes as PEM or DER, alone. The agent's own comes as a PFX (PKCS #12)
container, or as PEM, in both cases with its private key. Used by the command line only: the running
agent has no library for this.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from deodar.agent import key_rounds
from deodar.agent.certificate_checks import facts_of, fits, warnings_about, weakness, wrong_dates
from deodar.agent.certificate_facts import CLIENT, LARGEST, SERVER, CertificateFacts
from deodar.agent.errors import CertificateRefused
from deodar.agent.tasks.files import insecurity
from deodar.tasks.errors import InsecurePath
from deodar.tls.errors import CertificateError
from deodar.tls.pem import certificate_pem, key_pem, load_certificates, same_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    Ask = Callable[[], str | None]

TRIES = 3
STICKY, OTHERS_WRITE = 0o1000, 0o022

_SIDES = {SERVER: "a server's", CLIENT: "a client's"}


class Taken(NamedTuple):
    """What `Certificates.set` wants: PEM text with the key behind a client's, and the facts."""

    pem: str
    facts: CertificateFacts
    warnings: list[str]


class _WrongPassword(Exception):  # noqa: N818 - asked again, never shown
    pass


def read_server(path: Path, now: datetime | None = None) -> Taken:
    """Return the server's certificate in a file, or that of its authority.

    Raises CertificateRefused, which says what is wrong, or InsecurePath.
    """
    data = _read(path)
    if b"PRIVATE KEY-----" in data:
        raise CertificateRefused(
            f"{path} has a private key in it; the agent needs the server's certificate alone, "
            "and the key must not leave the server"
        )
    found = _certificates(path, data)
    if len(found) != 1:
        raise CertificateRefused(
            f"{path} has {len(found)} certificates; give the one of the server, or the one of the "
            "authority that issued it, alone"
        )
    return _taken(SERVER, path, found, "", now or datetime.now(UTC))


def read_client(path: Path, ask: Ask | None = None, now: datetime | None = None) -> Taken:
    """Return the agent's own certificate with its key, from a PFX container or PEM.

    `ask` returns the password of an encrypted file, None to give up; it is asked only when the file
    cannot be read without, three times at most. Raises CertificateRefused or InsecurePath.
    """
    data = _read(path)
    is_pem = b"-----BEGIN" in data
    _check_rounds(path, key_rounds.of_pem(data) if is_pem else key_rounds.of_der(data))
    opener = _open_pem if is_pem else _open_pfx
    certificates, key = _opened(opener, path, data, ask)
    own = [one for one in certificates if same_key(one, key)]
    if not own:
        raise CertificateRefused(
            f"{path}: the private key belongs to none of its {len(certificates)} certificates"
        )
    rest = [one for one in certificates if one is not own[0]]
    pem = key_pem(key).decode()
    return _taken(CLIENT, path, [own[0], *rest], pem, now or datetime.now(UTC))


def _check_rounds(path: Path, rounds: int) -> None:
    if rounds > key_rounds.MOST:
        raise CertificateRefused(
            f"{path} asks for {rounds} rounds of key derivation, which would take very long; "
            f"export it again with at most {key_rounds.MOST}"
        )


def _read(path: Path) -> bytes:
    problem = insecurity(path) or _open_folder(path)
    if problem:
        raise InsecurePath(f"{problem}; copy the file to a place that only you may write to")
    try:
        if not path.is_file():
            raise CertificateRefused(f"{path} is no file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise CertificateRefused(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise CertificateRefused(f"{path} is empty")
    if len(data) > LARGEST:
        raise CertificateRefused(f"{path} is larger than {LARGEST} bytes: that is no certificate")
    return data


def _open_folder(path: Path) -> str:
    """Return what is wrong with the file's folder: others could put another file there."""
    folder = path.absolute().parent
    try:
        mode = folder.stat().st_mode
    except OSError:
        return ""
    if mode & OTHERS_WRITE and not mode & STICKY:
        return f"{folder} may be written by others than its owner"
    return ""


def _certificates(path: Path, data: bytes) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN" in data:
            return load_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except (CertificateError, ValueError) as error:
        if _looks_like_pfx(data):
            raise CertificateRefused(
                f"{path} is a PFX container; give the certificate alone, as PEM or DER"
            ) from error
        raise CertificateRefused(
            f"{path} is no certificate that can be read, neither PEM nor DER"
        ) from error


_Opened = tuple[list[x509.Certificate], "CertificateIssuerPrivateKeyTypes"]


def _opened(
    opener: Callable[[Path, bytes, bytes | None], _Opened],
    path: Path,
    data: bytes,
    ask: Ask | None,
) -> _Opened:
    for password in _passwords(ask):
        try:
            return opener(path, data, password)
        except _WrongPassword:
            continue
    if ask is None:
        raise CertificateRefused(
            f"{path} is protected by a password; give it with --password-file FILE, or run this "
            "in a terminal to be asked"
        )
    raise CertificateRefused(f"{path}: that is not the password (or the file is damaged)")


def _passwords(ask: Ask | None) -> Iterator[bytes | None]:
    yield None
    yield b""
    for _ in range(TRIES if ask is not None else 0):
        given = ask() if ask is not None else None
        if given is None:
            return
        yield given.encode()


def _open_pfx(path: Path, data: bytes, password: bytes | None) -> _Opened:
    try:
        key, own, more = pkcs12.load_key_and_certificates(data, password)
    except (UnsupportedAlgorithm, NotImplementedError) as error:
        raise CertificateRefused(
            f"{path} is encrypted in an outdated way ({error}); convert it: openssl pkcs12 -legacy "
            "-in OLD -nodes -out pair.pem, then add pair.pem"
        ) from error
    except Exception as error:
        # The parser says « Invalid password or PKCS12 data » for both; a look tells them apart.
        if not _looks_like_pfx(data):
            raise CertificateRefused(f"{path} is neither PFX nor PEM") from error
        raise _WrongPassword from error
    certificates = [one for one in (own, *more) if one is not None]
    if key is None:
        raise CertificateRefused(f"{path} has no private key; export it together with its key")
    if not certificates:
        raise CertificateRefused(f"{path} has a private key, but no certificate")
    return certificates, key  # type: ignore[return-value]  # what cannot sign fits no certificate


def _looks_like_pfx(data: bytes) -> bool:
    """Whether it begins as PFX does: a sequence whose first part is the version, 3."""
    return data[:1] == b"\x30" and b"\x02\x01\x03" in data[:16]


def _open_pem(path: Path, data: bytes, password: bytes | None) -> _Opened:
    certificates = _certificates(path, data)
    keys = data.count(b"PRIVATE KEY-----") // 2
    if keys != 1:
        raise CertificateRefused(
            f"{path} has {keys} private keys; exactly one has to stand beside the certificate"
        )
    begin = data.rfind(b"-----BEGIN", 0, data.index(b"PRIVATE KEY-----"))
    if begin < 0:
        raise CertificateRefused(f"{path}: the line that begins the private key is damaged")
    try:
        key = serialization.load_pem_private_key(data[begin:], password or None)
    except TypeError as error:  # encrypted, and no password; or the other way round
        raise _WrongPassword from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if b"ENCRYPTED" in data:
            raise _WrongPassword from error
        raise CertificateRefused(f"{path}: the private key cannot be read: {error}") from error
    return certificates, key  # type: ignore[return-value]


def _taken(kind: str, path: Path, chain: list[x509.Certificate], key: str, now: datetime) -> Taken:
    certificate = chain[0]
    try:
        facts = facts_of(kind, certificate)
        for reason in (wrong_dates(certificate, now), weakness(certificate)):
            if reason:
                raise CertificateRefused(f"{path}: {reason}")
        if not fits(kind, certificate):
            told = ", but an authority's" if facts.is_authority else ""
            raise CertificateRefused(f"{path}: it is not {_SIDES[kind]} certificate{told}")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateRefused(f"{path}: the certificate cannot be used: {error}") from error
    pem = key + b"".join(map(certificate_pem, chain)).decode()
    return Taken(pem, facts, warnings_about(certificate, now))
