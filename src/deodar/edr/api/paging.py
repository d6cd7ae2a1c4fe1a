"""Paging by cursor: a list is read in parts, each beginning behind the last one's end.

A cursor is what a list is ordered by, of the last row that was shown, so that rows which come and
go in between neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from fastapi import Query

from deodar.edr.api.models import Page
from deodar.edr.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
_LONGEST = 1024
_LAST = 2**62
_NONE = "after: not the `next` of an earlier answer"

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
After = Annotated[
    str, Query(max_length=_LONGEST, description="`next` of the part before; empty to begin.")
]
LIMIT = 100
"""How many a part has when nothing is said."""


def cursor(*values: str | int) -> str:
    """Return the text that stands for a place in a list."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).rstrip(b"=").decode()


def place(text: str, *kinds: type) -> tuple[Any, ...] | None:
    """Return the values of a cursor, None for an empty one; raises BadRequest."""
    if not text:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
        values = msgspec.json.decode(data)
        found = tuple(msgspec.convert(list(values), tuple[kinds]))  # type: ignore[valid-type]
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise BadRequest(_NONE) from error
    if any(isinstance(value, int) and not 0 <= value <= _LAST for value in found):
        raise BadRequest(_NONE)
    return found


def page(rows: Sequence[T], limit: int, key: Callable[[T], tuple[str | int, ...]]) -> Page[T]:
    """Return the page of rows that were read with one more than `limit`."""
    shown = list(rows[:limit])
    return Page(items=shown, next=cursor(*key(shown[-1])) if len(rows) > limit else None)
