"""Who may use the ClickHouse front: one user, whose password is kept as a scrypt hash (RFC 7914).

A proof costs some 50 ms of CPU on purpose. So that each request need not pay it, proven passwords
are remembered in memory, as an HMAC under a key that this process alone has.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from typing import Final, NamedTuple

from deodar.store.errors import StoreError

_COST: Final = (2**14, 8, 1)  # n, r, p: 16 MB
_MAX_MEMORY: Final = 64 << 20  # bytes that a stored hash may make us use
_REMEMBERED: Final = 16  # proven passwords


class Credentials(NamedTuple):
    """What a request shows; empty texts if nothing."""

    user: str
    password: str


def hash_password(password: str) -> str:
    """Return ``scrypt$n$r$p$salt$hash`` for a settings file; salt and hash are base64."""
    salt = secrets.token_bytes(16)
    n, r, p = _COST
    return "$".join(["scrypt", str(n), str(r), str(p), _text(salt), _text(_derive(password, salt))])


class Authenticator:
    """Checks credentials against one user's name and hash; may be used from any thread."""

    def __init__(self, user: str, password_hash: str) -> None:
        """Take what `hash_password` made; raises StoreError when it is not of that form."""
        self._user = user.encode()
        self._salt, self._hash, self._cost = _parse(password_hash)
        self._key = secrets.token_bytes(32)
        self._proven: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def remembers(self, shown: Credentials) -> bool:
        """Whether these were proven before; takes microseconds."""
        mark = self._mark(shown)
        with self._lock:
            known = list(self._proven)
        return sum(hmac.compare_digest(mark, proven) for proven in known) > 0

    def proves(self, shown: Credentials) -> bool:
        """Whether user and password are right; takes some 50 ms, in which nothing is told."""
        derived = _derive(shown.password, self._salt, self._cost)
        same_user = hmac.compare_digest(shown.user.encode(), self._user)
        right = hmac.compare_digest(derived, self._hash) and same_user
        if right:
            self._remember(self._mark(shown))
        return right

    def _mark(self, shown: Credentials) -> bytes:
        message = f"{len(shown.user)}:{shown.user}{shown.password}".encode()
        return hmac.digest(self._key, message, "sha256")

    def _remember(self, mark: bytes) -> None:
        with self._lock:
            self._proven[mark] = None
            while len(self._proven) > _REMEMBERED:
                del self._proven[next(iter(self._proven))]


def basic(header: str) -> Credentials | None:
    """Return what an ``Authorization: Basic`` header shows (RFC 7617), or None."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, _, password = text.partition(":")
    return Credentials(user, password)


def _derive(password: str, salt: bytes, cost: tuple[int, int, int] = _COST) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)


def _parse(stored: str) -> tuple[bytes, bytes, tuple[int, int, int]]:
    try:
        scheme, n, r, p, salt, digest = stored.split("$")
        cost = (int(n), int(r), int(p))
        if scheme != "scrypt":
            raise ValueError(scheme)  # noqa: TRY301
        parsed = base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)
        _derive("", parsed[0], cost)
    except ValueError as error:
        raise StoreError(
            "the front's password hash is not of the form scrypt$n$r$p$salt$hash; make a new one"
        ) from error
    return *parsed, cost


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
