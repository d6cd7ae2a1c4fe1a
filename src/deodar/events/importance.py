"""How important an event is: what is held back or given up first when there is too much of it.

The vocabulary says the same of each type, and a test holds the two together. It stands here once
more because the agent asks for every event, and the whole vocabulary would cost it 4 MB. That only
low importance is throttled, and detections go last, is how KESL and its relatives treat telemetry.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

Importance = Literal["low", "medium", "high"]

LOW = frozenset({"process_terminate", "process_fork", "module"})
HIGH = frozenset(
    {
        "agent_start",
        "agent_stop",
        "agent_task_state",
        "applock",
        "blockdocument",
        "blockeddocument",
        "telemetry_loss",
        "threatdetect",
        "threatprocessingresult",
    }
)
"""Types of high importance; `LOW` those of low; all others, and unknown ones, are in between."""

_LEVELS: dict[str, Importance] = dict.fromkeys(LOW, "low")
_LEVELS |= dict.fromkeys(HIGH, "high")
_KEY = b'"EventType":"'
_TYPE = re.compile(rb'"EventType"\s*:\s*"([^"\\]*)"')


class Counts(NamedTuple):
    """How many events of each importance."""

    low: int = 0
    medium: int = 0
    high: int = 0


def of(event_type: str) -> Importance:
    """Return the importance of a type, given by its name or an alias in any case."""
    level = _LEVELS.get(event_type)
    return level or _LEVELS.get(event_type.lower(), "medium")


def of_line(line: bytes) -> Importance:
    """Return the importance of an event that is one line of JSON; "medium" if it names no type."""
    return of(type_of_line(line))


def type_of_line(line: bytes) -> str:
    """Return the type that one line of JSON names, "" if none.

    Looks for the key, without parsing: a quote inside a text is escaped, so no text can look so.
    """
    start = line.find(_KEY)
    if start >= 0:
        start += len(_KEY)
        return line[start : line.find(b'"', start)].decode("utf-8", "replace")
    found = _TYPE.search(line)  # written by somebody else, with blanks
    return found[1].decode("utf-8", "replace") if found else ""


def count(lines: Iterable[bytes]) -> Counts:
    """Return how many of some lines of JSON have each importance."""
    found = {"low": 0, "medium": 0, "high": 0}
    for line in lines:
        found[of_line(line)] += 1
    return Counts(**found)
