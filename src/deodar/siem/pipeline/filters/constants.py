"""The constants of conditions, as each operator keeps them for a field of some kind.

Each function raises ValueError that says what would do.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from deodar.columnar.values import FAILED, as_float, as_integer

if TYPE_CHECKING:
    from deodar.siem.pipeline.fields import Kind

TEXTS: tuple[Kind, ...] = ("string", "strings")
LONGEST_PATTERN = 4096
MAX_BIT = 63


def typed(value: Any, kind: Kind) -> Any:
    """Return a constant for a field: a number's text for a text field, a text's number else."""
    if kind in TEXTS:
        return str(value)
    number = as_integer(value) if kind == "integer" else as_float(value)
    if number is FAILED:
        raise ValueError(f"{value!r} is no {kind}")
    return number


def ordered(value: Any, kind: Kind) -> Any:
    """Return a constant to compare by order: a number stays one, also against a text field."""
    return value if kind in TEXTS else typed(value, kind)


def pattern(value: Any, kind: Kind) -> str:
    """Return a regular expression."""
    return checked_pattern(typed(value, kind))


def checked_pattern(text: str) -> str:
    """Return an expression if RE2 takes it; raises ValueError that says why not."""
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"a regular expression has at most {LONGEST_PATTERN} characters")
    try:
        pc.match_substring_regex(pa.array([""]), text)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise ValueError(f"{text[:64]!r} is no regular expression of RE2: {reason}") from error
    return text


def subnet(value: Any, _kind: Kind) -> str:
    """Return a subnet, or an address as a subnet of its own."""
    try:
        return str(ipaddress.ip_network(str(value), strict=False))
    except ValueError as error:
        raise ValueError(f"{value!r} is no subnet, such as '10.0.0.0/8' or '2001:db8::/32'") from (
            error
        )


def bit(value: Any, _kind: Kind) -> int:
    """Return the position of a bit, counted from 0."""
    number = as_integer(value)
    if number is FAILED or not 0 <= number <= MAX_BIT:
        raise ValueError(f"{value!r} is no position of a bit: those are 0 to {MAX_BIT}")
    return int(number)
