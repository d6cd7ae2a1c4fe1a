"""Which events a destination gets: a filter in KEDRQL over the fields of normalized events.

Fields are those of the event model; ``Extra.NAME`` is a field that the normalizer had no place
for. Fractions cannot be compared. What a field does not hold counts as empty, as in any KEDRQL.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from deodar import kedrql
from deodar.events import Field
from deodar.siem.destinations.forms import rows
from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: dict[str, Literal["string", "integer", "strings"]] = {
    "string": "string", "integer": "integer", "time": "integer", "strings": "strings",
}  # fmt: skip
_MAPS = tuple(f"{name}." for name, field in MODEL.items() if field.kind == "map")


class _ModelNames:
    """The event model's fields, for the parser of filters."""

    def __init__(self) -> None:
        found = {
            name: _field(name, _KINDS[field.kind])
            for name, field in MODEL.items()
            if field.kind in _KINDS
        }
        self.fields: Mapping[str, Field] = MappingProxyType(found)

    def field(self, name: str) -> Field | None:
        """Return the field of exactly that name, or one of a map's, or None."""
        if name.startswith(_MAPS) and name.count(".") == 1:
            return _field(name, "string")
        return self.fields.get(name)


def _field(name: str, kind: Literal["string", "integer", "strings"]) -> Field:
    return Field(name, kind, None, "", "deodar", certain=True, group="")


_NAMES = _ModelNames()


class Selection:
    """A filter, ready to be used."""

    def __init__(self, text: str) -> None:
        """Read a filter, empty for all events; raises KedrqlError."""
        expression = kedrql.parse(text, _NAMES) if text else None
        self._passes = kedrql.predicate(expression) if expression else None
        self._columns = (
            {name.split(".")[0] for name in kedrql.fields(expression)} if expression else set()
        )

    def of(self, events: pa.RecordBatch) -> pa.RecordBatch:
        """Return the events that pass."""
        if self._passes is None:
            return events
        seen = events.select([name for name in events.schema.names if name in self._columns])
        passes = self._passes
        if not seen.num_columns:
            return events if passes({}) else events.slice(0, 0)
        return events.filter(pa.array([passes(event) for event in rows(seen)], pa.bool_()))
