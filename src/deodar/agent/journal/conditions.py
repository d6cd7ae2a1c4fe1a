"""The conditions of a query: each as a function on a record, and as SQL that answers the same.

Times compare as whole seconds, as they are shown. Texts compare exactly, by code point. ``like``
pays no heed to case, and its mask must fit the whole text. A record without a detail counts as one
with an empty text there. The order of details is that of numbers where both sides are numbers.
"""

from __future__ import annotations

import operator
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from deodar.agent.journal.record import Field, Record

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_details = msgspec.json.Decoder(dict[str, str])


class FieldCondition(msgspec.Struct, frozen=True):
    """A condition on what every record has."""

    field: Field
    operator: str
    value: str | int

    def matches(self, record: Record) -> bool:
        """Whether the record meets it."""
        found = getattr(record, self.field.attribute)
        if self.operator == "like":
            return is_like(found, str(self.value))
        if self.field.kind == "date":
            found = int(found)
        return _COMPARE[self.operator](found, self.value)

    def to_sql(self) -> tuple[str, list[Any]]:
        """Return it as SQL with its parameters."""
        column = self.field.attribute
        if self.operator == "like":
            return f"is_like({column}, ?)", [self.value]
        if self.field.kind == "date":
            column = f"CAST({column} AS INTEGER)"
        return f"{column} {self.operator} ?", [self.value]


class DetailCondition(msgspec.Struct, frozen=True):
    """A condition on a detail; `name` is in lower case."""

    name: str
    operator: str
    value: str

    def matches(self, record: Record) -> bool:
        """Whether the record meets it."""
        found = next((text for key, text in record.details.items() if key.lower() == self.name), "")
        return meets(found, self.operator, self.value)

    def to_sql(self) -> tuple[str, list[Any]]:
        """Return it as SQL with its parameters."""
        return "detail_meets(details, ?, ?, ?)", [self.name, self.operator, self.value]


Condition = FieldCondition | DetailCondition


def register(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that the SQL of conditions uses."""
    connection.create_function("is_like", 2, is_like, deterministic=True)
    connection.create_function("detail_meets", 4, _detail_meets, deterministic=True)


def meets(found: str, comparison: str, value: str) -> bool:
    """Whether a detail's text meets a condition."""
    if comparison == "like":
        return is_like(found, value)
    if comparison not in ("==", "!=") and _NUMBER.fullmatch(value) and _NUMBER.fullmatch(found):
        return _COMPARE[comparison](float(found), float(value))
    return _COMPARE[comparison](found, value)


def is_like(text: str, mask: str) -> bool:
    """Whether a text fits a mask, in which ``%`` stands for any run of characters.

    Takes each part at its first place after the one before, so the time is linear for any mask.
    """
    parts = _parts(mask)
    text = text.lower()
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if not (text.startswith(first) and text.endswith(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return position <= end


@lru_cache(maxsize=64)
def _parts(mask: str) -> tuple[str, ...]:
    return tuple(mask.lower().split("%"))


def _detail_meets(details: str, name: str, comparison: str, value: str) -> bool:
    """Return what `DetailCondition.matches` does, for the details as they are stored."""
    texts = _details.decode(details)
    found = next((text for key, text in texts.items() if key.lower() == name), "")
    return meets(found, comparison, value)
