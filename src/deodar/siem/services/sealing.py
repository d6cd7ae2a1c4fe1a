"""Secrets in the database, sealed with a key that is not in it.

AES-256-GCM under a key in the core's folder (``services.key``), bound to the place where the secret
belongs, so that a sealed secret can be neither read nor moved by whoever has the database alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from deodar.kit.directory import sync_folder
from deodar.kit.errors import StateError

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

FILE = "services.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12


class Sealer:
    """Seals and opens secrets with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(key, b"deodar seal", "sha256"))
        self._identity = hmac.digest(key, b"deodar identity", "sha256")

    def seal(self, secret: bytes, place: str) -> bytes:
        """Return a secret sealed for one place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return the secret; raises StateError when it was sealed by another key or elsewhere."""
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, place.encode())
        except (InvalidTag, ValueError) as error:
            raise StateError(
                f"{place} cannot be opened: it was sealed with another key than the one in "
                f"{FILE}; bring that file back from the backup of the database's time"
            ) from error

    def identity(self, secret: bytes) -> str:
        """Return what is the same for the same secret and tells nothing of it: 64 hex digits."""
        return hmac.new(self._identity, secret, hashlib.sha256).hexdigest()


def sealer_of(home: StateDirectory) -> Sealer:
    """Return the sealer of a SIEM's folder, with a new key if it has none; raises StateError."""
    if not home.has(FILE):
        _make(home)
    key = home.read(FILE)
    if len(key) != _KEY_BYTES:
        raise StateError(f"{home.path / FILE} is damaged: it must have {_KEY_BYTES} bytes")
    return Sealer(key)


def _make(home: StateDirectory) -> None:
    """Write a new key, unless another process was faster; no moment sees half of one."""
    aside = home.write_secret(f".{FILE}.{secrets.token_hex(8)}", secrets.token_bytes(_KEY_BYTES))
    try:
        os.link(aside, home.path / FILE)
        sync_folder(home.path)
    except FileExistsError:
        return
    except OSError as error:
        raise StateError(f"cannot write {home.path / FILE}: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)
