"""The certificates of the running agent, and the TLS context that is made of them.

``server.crt`` is the EDR server's own certificate or that of the authority that issued it; nothing
else is trusted. ``client.crt`` and ``client.key`` are what the agent shows. The standard library
can use certificates but not tell what is in them, so whoever adds one, with the larger library at
hand, adds a few facts; they are kept in ``certificates.json`` and hold for the file with that
fingerprint only.
"""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from deodar.agent.certificate_facts import (
    CLIENT,
    KINDS,
    LARGEST,
    SERVER,
    WORDS,
    CertificateFacts,
    check_kind,
    fingerprint,
    how_to_add,
    missing,
    parts,
    problem,
)
from deodar.agent.errors import CertificateRefused, NoCertificate
from deodar.kit.errors import StateError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.kit.directory import StateDirectory

SERVER_FILE, CLIENT_FILE, KEY_FILE = "server.crt", "client.crt", "client.key"
FACTS_FILE = "certificates.json"
PAIR_FILE = "client.new"
"""The agent's new key and certificate, while they take the place of the old ones."""

_FILES = {SERVER: SERVER_FILE, CLIENT: CLIENT_FILE}
_log = logger("agent.certificates")


__all__ = ["CLIENT", "KINDS", "SERVER", "CertificateFacts", "Certificates"]


class Certificates:
    """The certificate files of one agent. For any thread."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._listeners: list[Callable[[str], None]] = []
        self._changing = threading.Lock()
        self._complete()

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the kind after a certificate was added, replaced or removed."""
        self._listeners.append(listener)

    def server_pem(self) -> bytes | None:
        """Return the pinned certificate, or None when there is none."""
        return self._read(SERVER)

    def has(self, kind: str) -> bool:
        """Whether there is a certificate of that kind."""
        return self._directory.has(_file(kind))

    def set(self, kind: str, pem: str, facts: CertificateFacts | None = None) -> CertificateFacts:
        """Take a certificate in place of the present one; a client's comes with its key.

        Raises CertificateRefused for what TLS could not use, StateError when the disk refuses. The
        old one is then still there. `facts` that are about another certificate are refused too.
        """
        certificate, key = parts(kind, pem)
        told = CertificateFacts(kind=kind, sha256=fingerprint(certificate))
        if facts is not None:
            if facts.sha256 != told.sha256:
                raise CertificateRefused("the facts are about another certificate")
            told = msgspec.structs.replace(facts, kind=kind)
        _try(kind, certificate, key)
        with self._changing:
            if key:
                self._directory.write_secret(PAIR_FILE, (key + certificate).encode())
                self._directory.write_secret(KEY_FILE, key.encode())
            self._directory.write_secret(_FILES[kind], certificate.encode())
            self._keep_facts({**self._facts(), kind: told})
            if key:
                (self._directory.path / PAIR_FILE).unlink(missing_ok=True)
        self._tell(kind)  # without the lock: a listener may wait for one who wants a context
        return told

    def remove(self, kind: str) -> bool:
        """Remove a certificate, and its key; returns whether there was one.

        Raises StateError when the disk refuses.
        """
        names = [_file(kind)] + ([KEY_FILE] if kind == CLIENT else [])
        with self._changing:
            existed = any(self._directory.has(name) for name in names)
            try:
                for name in names:
                    (self._directory.path / name).unlink(missing_ok=True)
            except OSError as error:
                raise StateError(f"cannot remove {error.filename}: {error.strerror}") from error
            if existed:
                self._keep_facts({k: f for k, f in self._facts().items() if k != kind})
        if existed:
            self._tell(kind)
        return existed

    def describe(self, kind: str) -> CertificateFacts | None:
        """Return what is known of a certificate, None when there is none.

        For a file that was put there by hand nothing but its fingerprint is known.
        """
        pem = self._read(kind)
        if pem is None:
            return None
        try:
            digest = fingerprint(pem.decode("ascii"))
        except ValueError:
            return CertificateFacts(kind=kind)
        known = self._facts().get(kind)
        if known is not None and known.sha256 == digest:
            return known
        return CertificateFacts(kind=kind, sha256=digest)

    def known(self) -> list[CertificateFacts]:
        """Return what is known of the certificates that are there."""
        return [facts for kind in KINDS if (facts := self.describe(kind)) is not None]

    def problems(self, now: float, *, use_client: bool = True) -> list[str]:
        """Return what an administrator has to do about certificates, the worst first.

        `now` is in seconds since the epoch; `use_client` tells whether the agent shows its own.
        """
        needed = KINDS if use_client else (SERVER,)
        found = [problem(kind, self.describe(kind), now) for kind in needed]
        return [text for text in found if text]

    def context(self, *, use_client: bool) -> ssl.SSLContext:
        """Return a TLS context that trusts the pinned certificate only; TLS 1.2 or newer.

        Names are not compared: the pinned certificate says which server it is. Raises NoCertificate
        when one is missing, CertificateRefused when a file is damaged; both say what to do.
        """
        pem = self.server_pem()
        if pem is None:
            raise NoCertificate(missing(SERVER))
        pair = None
        if use_client:
            if not (self.has(CLIENT) and self._directory.has(KEY_FILE)):
                raise NoCertificate(missing(CLIENT))
            pair = (self._directory.path / CLIENT_FILE, self._directory.path / KEY_FILE)
        with self._changing:
            return _context(pem, pair)

    def _complete(self) -> None:
        """Finish what was cut off between key and certificate, so that they fit one another."""
        if not self._directory.has(PAIR_FILE):
            return
        try:
            certificate, key = parts(CLIENT, self._directory.read(PAIR_FILE).decode("ascii"))
            self._directory.write_secret(KEY_FILE, key.encode())
            self._directory.write_secret(CLIENT_FILE, certificate.encode())
            (self._directory.path / PAIR_FILE).unlink(missing_ok=True)
        except (StateError, CertificateRefused, UnicodeDecodeError, OSError) as error:
            _log.warning("a certificate that was being replaced is damaged", error=str(error))

    def _read(self, kind: str) -> bytes | None:
        try:
            with (self._directory.path / _file(kind)).open("rb") as file:
                return file.read(LARGEST)
        except OSError:
            return None

    def _facts(self) -> dict[str, CertificateFacts]:
        try:
            data = self._directory.read(FACTS_FILE)
            return msgspec.json.decode(data, type=dict[str, CertificateFacts])
        except (StateError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _keep_facts(self, facts: dict[str, CertificateFacts]) -> None:
        text = msgspec.json.format(msgspec.json.encode(facts), indent=2)
        self._directory.write_secret(FACTS_FILE, text + b"\n")

    def _tell(self, kind: str) -> None:
        for listener in self._listeners:
            try:
                listener(kind)
            except Exception as error:  # noqa: BLE001 - the certificate is in place all the same
                _log.warning("a changed certificate was not followed", kind=kind, error=str(error))


def _file(kind: str) -> str:
    check_kind(kind)
    return _FILES[kind]


def _try(kind: str, certificate: str, key: str) -> None:
    """Raise CertificateRefused when TLS cannot use it."""
    if kind == SERVER:
        _context(certificate.encode(), None)
        return
    # In memory: ssl takes files only, and a key that may be refused does not belong on a disk.
    with os.fdopen(os.memfd_create("deodar-pair"), "wb") as file:
        file.write((key + certificate).encode())
        file.flush()
        path = Path(f"/proc/self/fd/{file.fileno()}")
        _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), (path, path))


def _context(server: bytes, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=server.decode("ascii"))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CertificateRefused(
            f"{WORDS[SERVER]} cannot be used ({error}); {how_to_add(SERVER)}"
        ) from error
    if pair is not None:
        _show(context, pair)
    return context


def _show(context: ssl.SSLContext, pair: tuple[Path, Path]) -> None:
    try:
        context.load_cert_chain(pair[0], pair[1], password=_no_password)
    except (OSError, ValueError) as error:
        raise CertificateRefused(
            f"{WORDS[CLIENT]} or its key cannot be used ({error}); {how_to_add(CLIENT)}"
        ) from error


def _no_password() -> str:
    """Keep OpenSSL from asking on the terminal."""
    raise ValueError("the key is encrypted")
