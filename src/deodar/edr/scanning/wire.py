"""What the server and its scanning process say to each other: packets of JSON with a file each."""

from __future__ import annotations

from typing import Literal

import msgspec

LARGEST_PACKET = 128 << 10
MOST_MATCHES = 100
"""Rules that are told of one file."""


class Ask(msgspec.Struct, frozen=True):
    """Use the rules in the file beside it, or scan that file."""

    what: Literal["rules", "scan"]
    seconds: float = 0.0


class Match(msgspec.Struct, frozen=True):
    """A rule that matched; `set` is the name under which its rules were added."""

    set: str
    rule: str
    tags: tuple[str, ...] = ()
    importance: str = ""


class Reply(msgspec.Struct, frozen=True):
    """What came of it; `error` says why nothing did."""

    error: str = ""
    timed_out: bool = False
    rules: int = 0
    """How many rules there are."""
    matches: tuple[Match, ...] = ()
