"""ISO 8601 durations, as external systems send them in ``max_timeout`` (``PT30S``, ``PT1H30M``).

The whole notation of ISO 8601-1:2019, 5.5.2 with designators: years to seconds, or weeks; a
fraction, after a point or a comma, in the smallest unit that is given. A year counts as 365 days
and a month as 30, because a waiting time has no calendar.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deodar.edr.errors import DurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = re.compile(r"\d{1,15}(?:[.,]\d{1,15})?", re.ASCII)
_DAY = 86_400
_DATE_UNITS = (("Y", 365 * _DAY), ("M", 30 * _DAY), ("W", 7 * _DAY), ("D", _DAY))
_TIME_UNITS = (("H", 3600), ("M", 60), ("S", 1))


def parse(text: str) -> float:
    """Return a duration in seconds.

    Raises DurationError, which names the column and what was expected there.
    """
    if not text.startswith("P"):
        raise DurationError(text, 1, "P")
    date_end = text.find("T") if "T" in text else len(text)
    seconds, weeks = _part(text, 1, date_end, _DATE_UNITS)
    if weeks and date_end != len(text):
        raise DurationError(text, date_end + 1, "the end, as weeks stand alone")
    if date_end < len(text):
        if date_end + 1 == len(text):
            raise DurationError(text, len(text) + 1, "hours, minutes or seconds after T")
        seconds += _part(text, date_end + 1, len(text), _TIME_UNITS)[0]
    elif date_end == 1:
        raise DurationError(text, 2, "a number or T")
    return seconds


def _part(text: str, start: int, end: int, units: Sequence[tuple[str, int]]) -> tuple[float, bool]:
    """Return the seconds of the date or the time part, and whether it holds weeks."""
    left = list(units)
    seconds, seen = 0.0, ""
    at = start
    while at < end:
        number = _NUMBER.match(text, at, end)
        if number is None:
            raise DurationError(text, at + 1, "a number")
        at = number.end()
        designator = text[at : at + 1] if at < end else ""
        scale, left = _unit(text, at, designator, left)
        seconds += float(number[0].replace(",", ".")) * scale
        seen += designator
        at += 1
        if "." in number[0] or "," in number[0]:
            _nothing_more(text, at)
    if "W" in seen and seen != "W":
        raise DurationError(text, start + 1, "weeks alone, without other units")
    return seconds, seen == "W"


def _unit(
    text: str, at: int, designator: str, left: Sequence[tuple[str, int]]
) -> tuple[int, list[tuple[str, int]]]:
    """Return the seconds of a unit, and the units that may follow it."""
    for position, (name, scale) in enumerate(left):
        if name == designator:
            return scale, list(left[position + 1 :])
    allowed = " or ".join(name for name, _ in left) or "the end"
    raise DurationError(text, at + 1, allowed)


def _nothing_more(text: str, at: int) -> None:
    if at < len(text):
        raise DurationError(text, at + 1, "the end after a fraction")


def render(seconds: float) -> str:
    """Return seconds as the shortest duration in hours, minutes and seconds (``PT0S`` for 0)."""
    whole = round(seconds * 1_000_000)
    hours, rest = divmod(whole, 3_600_000_000)
    minutes, micros = divmod(rest, 60_000_000)
    text = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes)
    if micros:
        text += f"{micros // 1_000_000}.{micros % 1_000_000:06d}".rstrip("0").rstrip(".") + "S"
    return f"PT{text or '0S'}"
