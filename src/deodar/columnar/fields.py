"""What a spec knows of the fields of an event: how each is decoded, and its text in ``Extra``."""

from __future__ import annotations

from typing import Any, Literal

from deodar.columnar.spec import Spec, head
from deodar.columnar.values import COERCE, FAILED, as_kept

FieldKind = Literal["string", "integer", "float", "raw"]
"""How a field of the event is decoded; "raw" is left as JSON text to be walked into."""


class Fields:
    """The fields that a spec names, in its columns, kinds and types."""

    def __init__(self, spec: Spec) -> None:
        paths = {rule.path for column in spec.columns for rule in column.rules if rule.path}
        paths |= spec.kinds.keys()
        self._kinds: dict[str, FieldKind] = {}
        for path in sorted(paths):
            self._kinds.setdefault(head(path), _flat_kind(spec, head(path)))
        for path in paths:
            if spec.is_nested(path):
                self._kinds[head(path)] = "raw"

    def kind(self, name: str) -> FieldKind:
        """Return how a field is decoded; text for a field that the spec does not name."""
        return self._kinds.get(name, "string")

    def kept(self, name: str, value: Any) -> str:
        """Return what ``Extra`` holds for a field: in its kind if it can be, else as it came."""
        kind = self.kind(name)
        if kind in ("integer", "float"):
            coerced = COERCE[kind](value)
            value = value if coerced is FAILED else coerced
        return as_kept(value)


def _flat_kind(spec: Spec, name: str) -> FieldKind:
    kind = spec.kind(name)
    return "raw" if kind == "strings" else kind
