"""The fields that rules may name: those of the event model, and single entries of its maps.

A field that an event does not have counts as what the store shows for it: an empty text, 0, an
empty list. So a filter and a search for the same condition find the same events.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["string", "integer", "float", "strings"]

_KINDS: Mapping[str, Kind] = {
    "string": "string", "integer": "integer", "time": "integer", "float": "float",
    "strings": "strings",
}  # fmt: skip
EMPTY: Mapping[Kind, Any] = MappingProxyType(
    {"string": "", "integer": 0, "float": 0.0, "strings": []}
)
"""What a field of each kind holds when an event does not have it."""

ARROW: Mapping[Kind, Any] = MappingProxyType(
    {
        "string": pa.string(),
        "integer": pa.int64(),
        "float": pa.float64(),
        "strings": pa.list_(pa.string()),
    }
)
MAPS = tuple(name for name, field in MODEL.items() if field.kind == "map")


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field of events. `key` names the entry of a map, such as ``Extra.WorkingDirectory``."""

    column: str
    kind: Kind
    key: str = ""

    @property
    def name(self) -> str:
        """The name as rules write it."""
        return f"{self.column}.{self.key}" if self.key else self.column

    @property
    def max_length(self) -> int | None:
        """The longest text in characters, None for no limit."""
        return None if self.key else MODEL[self.column].max_length

    def value(self, event: Mapping[str, Any]) -> Any:
        """Return what an event (field to value) holds here, the empty value if it holds nothing."""
        found = event.get(self.column)
        if self.key and found:
            entries = found.items() if isinstance(found, dict) else found
            found = next((value for key, value in entries if key == self.key), None)
        return EMPTY[self.kind] if found is None else found


def field(name: str) -> FieldRef:
    """Return the field of that name; raises ValueError with the nearest one there is."""
    column, _, key = name.partition(".")
    known = MODEL.get(column)
    if known is not None and known.kind == "map" and key:
        return FieldRef(column, "string", key)
    if known is not None and known.kind == "map":
        raise ValueError(f"{name} is a map; name one entry of it, such as {name}.Key")
    if known is None or key:
        raise ValueError(f"there is no field {name[:64]}{_suggestion(name)}")
    return FieldRef(column, _KINDS[known.kind])


def _suggestion(name: str) -> str:
    spellings = {known.lower(): known for known in MODEL}
    near = difflib.get_close_matches(name.lower()[:64], spellings, n=1, cutoff=0.6)
    return f" (did you mean {spellings[near[0]]}?)" if near else ""
