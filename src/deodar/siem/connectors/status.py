"""What a connector tells of itself: a colour, the reason, and what to do about it.

Yellow while it waits for authorization or for its first answer and while errors grow; green from
the first answer on. Red is for a collector that does not run at all, so no connector says it.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Status(msgspec.Struct, frozen=True):
    """A colour with its reason; `remedy` is what an administrator can do, or empty."""

    colour: Literal["yellow", "green", "red"]
    reason: str
    remedy: str = ""


class ServerState(msgspec.Struct, frozen=True):
    """One server of several, with its own errors.

    `failures` counts those in a row, `again_in` is how many seconds it is left alone from now on,
    `asked` whether it is the one that requests go to now.
    """

    url: str
    failures: int = 0
    error: str = ""
    again_in: float = 0.0
    asked: bool = False
