"""Passwords: the rules for new ones, and argon2id hashes to check them against.

Checking takes some 20 MB and tens of milliseconds on purpose. How many are checked at a time is
bounded, since anybody may try; and a user who does not exist costs as much time as one who does.
Facts: OWASP's parameters for argon2id; NIST SP 800-63B on length instead of kinds of characters.
"""

from __future__ import annotations

import threading
import unicodedata
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from deodar.edr.errors import LogUnavailable
from deodar.edr.users.errors import WeakPassword

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST, LONGEST = 12, 256
_FEWEST_DIFFERENT = 5
_AT_ONCE = 2
_WAITING = 8  # and those that are being checked; each holds a thread meanwhile
_WAIT_SECONDS = 10.0

_BUSY = "too many passwords are being checked; try again"

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_places = threading.BoundedSemaphore(_AT_ONCE)
_queue = threading.BoundedSemaphore(_AT_ONCE + _WAITING)


def check_rules(password: str, user: str) -> None:
    """Raise WeakPassword when a new password is too short, too long or too easily guessed."""
    text = _normal(password)
    if len(text) < SHORTEST:
        raise WeakPassword(f"the password has {len(text)} characters; {SHORTEST} are needed")
    if len(text) > LONGEST:
        raise WeakPassword(f"the password is longer than {LONGEST} characters")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise WeakPassword("the password has control characters")
    if len(set(text)) < _FEWEST_DIFFERENT:
        raise WeakPassword(f"the password has fewer than {_FEWEST_DIFFERENT} different characters")
    if user.lower() in text.lower():
        raise WeakPassword("the password has the user's name in it")


def hash_password(password: str) -> str:
    """Return what is kept of a password."""
    with _place():
        return _hasher.hash(_normal(password))


def matches(kept: str | None, password: str) -> bool:
    """Whether a password is the one behind `kept`; None, for nobody, takes the same time.

    Raises LogUnavailable when too many are being checked.
    """
    if len(password) > LONGEST:
        password = ""
    with _place():
        try:
            good = _hasher.verify(_nobodys() if kept is None else kept, _normal(password))
        except (VerificationError, InvalidHashError):
            return False
    return good and kept is not None


def is_outdated(kept: str) -> bool:
    """Whether a hash was made with other parameters than those of today."""
    return _hasher.check_needs_rehash(kept)


@contextmanager
def _place() -> Iterator[None]:
    """Hold one of the places for checks; raises LogUnavailable when none becomes free."""
    if not _queue.acquire(blocking=False):
        raise LogUnavailable(_BUSY, 5)
    try:
        if not _places.acquire(timeout=_WAIT_SECONDS):
            raise LogUnavailable(_BUSY, 5)
        try:
            yield
        finally:
            _places.release()
    finally:
        _queue.release()


@cache
def _nobodys() -> str:
    return _hasher.hash("the password of nobody at all")


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
