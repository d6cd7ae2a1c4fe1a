"""What a survey saw last, in the agent's folder: so a change is told that nobody watched.

The file is for its owner alone. It holds no secret: of passwords there are keyed digests, and the
key is in a file beside it, made once.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.kit.errors import StateError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

KEY_FILE = "watch.key"
KEY_BYTES = 32
_log = logger("agent.watch")


class Kept(msgspec.Struct):
    """The content of a file."""

    key: str
    """Digest of the key that the digests were made with."""
    items: msgspec.Raw


class Keeper:
    """The files of all surveys. For one thread."""

    def __init__(self, directory: StateDirectory) -> None:
        """Raises StateError when no key can be kept."""
        self._directory = directory
        self.problems: list[str] = []
        """Why something that was saved could not be used."""
        self._key = _key(directory)
        self._key_digest = blake2b(self._key, digest_size=8).hexdigest()

    def digest(self, secret: bytes) -> str:
        """Return what stands for a secret; no one can find that by trying who lacks the key."""
        return blake2b(secret, key=self._key, digest_size=16).hexdigest() if secret else ""

    def load(self, name: str, kinds: Any) -> dict[str, Any] | None:
        """Return what was saved; None when nothing was, or nothing that can be used."""
        file = _file(name)
        if not self._directory.has(file):
            return None
        try:
            kept = msgspec.json.decode(self._directory.read(file), type=Kept)
            found: dict[str, Any] = msgspec.json.decode(kept.items, type=kinds)
        except (StateError, ValueError) as error:
            self._refuse(file, str(error))
            return None
        if kept.key != self._key_digest:
            self._refuse(file, "it was made with another key")
            return None
        return found

    def _refuse(self, file: str, reason: str) -> None:
        self.problems.append(
            f"{file} cannot be used ({reason}): "
            "what changed while the agent was stopped is not told"
        )

    def save(self, name: str, items: dict[str, Any]) -> None:
        """Replace what was saved; raises StateError when the disk refuses."""
        kept = Kept(self._key_digest, msgspec.Raw(msgspec.json.encode(items)))
        self._directory.write_secret(_file(name), msgspec.json.encode(kept))


def _file(name: str) -> str:
    return f"watch-{name}.json"


def _key(directory: StateDirectory) -> bytes:
    if directory.has(KEY_FILE):
        key = directory.read(KEY_FILE)
        if len(key) == KEY_BYTES:
            return key
        _log.error("the key is damaged; a new one is made", file=KEY_FILE)
    key = os.urandom(KEY_BYTES)
    directory.write_secret(KEY_FILE, key)
    return key
