"""What a scripted server may do with a request, in place of what an EDR server does."""

from __future__ import annotations

from dataclasses import dataclass

AGENT_ID = "3f0c2a4e-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Say:
    """Answer this, and forget what came."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Raw:
    """Send these bytes in place of an answer, close, and forget what came."""

    data: bytes


@dataclass(frozen=True)
class Endless:
    """Begin an answer that never ends, and forget what came."""


@dataclass(frozen=True)
class Refuse:
    """Answer this before the body is read, and close."""

    status: int = 413
    body: bytes = b'{"error": "too large"}'


@dataclass(frozen=True)
class Reset:
    """Break the connection with a reset in the middle of the body, take nothing."""


@dataclass(frozen=True)
class Deaf:
    """Read nothing for so many seconds, then break the connection."""

    seconds: float


@dataclass(frozen=True)
class Lose:
    """Take what came, but break the connection before the answer."""


@dataclass(frozen=True)
class Hang:
    """Take what came, then say nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Trickle:
    """Take what came, then answer with so many seconds between two bytes."""

    seconds: float


@dataclass(frozen=True)
class Half:
    """Take what came, then send half of the answer and close."""


Step = Say | Raw | Endless | Refuse | Reset | Deaf | Lose | Hang | Trickle | Half
