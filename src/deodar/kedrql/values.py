"""Values of filters: from what is written to parts and numbers, and back to canonical text.

In quotes, `*` stands for any run of characters. A backslash takes the meaning from `*`, from either
quote and from another backslash; before any other character it stands for itself, so that Windows
paths need no care except before those.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deodar.events.codec import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Iterable

_PIECE = re.compile(r"\\([\\'\"*])|(\*)|([^\\*]+|\\)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_SPECIAL = re.compile(r"[\\'*]")


def parts_of_quoted(text: str) -> tuple[str, ...]:
    """Return the texts between the wildcards of a value in quotes; one text if it has none."""
    parts = [""]
    for escaped, wildcard, plain in _PIECE.findall(text[1:-1]):
        if wildcard:
            parts.append("")
        else:
            parts[-1] += escaped or plain
    return tuple(parts)


def parts_of_bare(text: str) -> tuple[str, ...]:
    """Return the texts between the wildcards of a value without quotes."""
    return tuple(text.split("*"))


def pattern_parts(parts: Iterable[str]) -> tuple[str, ...]:
    """Return the parts without those that neighbouring wildcards leave empty in the middle."""
    first, *middle, last = parts
    return (first, *(part for part in middle if part), last)


def integer(text: str) -> int | None:
    """Return the decimal number that fits 64 bits, signed, or None if the text is none."""
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if INT64_MIN <= number <= INT64_MAX else None


def quoted(parts: Iterable[str]) -> str:
    """Return the parts as one value in single quotes, with a wildcard between every two of them."""
    return "'" + "*".join(_SPECIAL.sub(r"\\\g<0>", part) for part in parts) + "'"
