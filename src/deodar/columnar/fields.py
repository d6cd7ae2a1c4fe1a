"""What a spec knows of the fields of an event: how each is decoded, and its text in ``Extra``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from deodar.columnar.spec import Spec, head
from deodar.columnar.values import COERCE, FAILED, as_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, KeysView

FieldKind = Literal["string", "integer", "float", "nested"]
"""How a field of the event is decoded; "nested" is any JSON value, to be walked into."""


class Fields:
    """The fields that a spec names, in its columns, kinds and types."""

    def __init__(self, spec: Spec) -> None:
        paths = {rule.path for column in spec.columns for rule in column.rules if rule.path}
        paths |= spec.kinds.keys()
        paths |= {name for names in spec.types.values() for name in names}
        paths.add(spec.discriminator)
        self._kinds: dict[str, FieldKind] = {}
        for path in _in_usual_order(spec, paths):
            self._kinds.setdefault(head(path), _flat_kind(spec, head(path)))
        for path in paths:
            if spec.is_nested(path):
                self._kinds[head(path)] = "nested"

    @property
    def names(self) -> KeysView[str]:
        """All fields that the spec names."""
        return self._kinds.keys()

    def kind(self, name: str) -> FieldKind:
        """Return how a field is decoded; text for a field that the spec does not name."""
        return self._kinds.get(name, "string")

    def unread(self, spec: Spec) -> list[frozenset[str]]:
        """Return for each type (by code) the fields that no rule reads as a whole."""
        return [frozenset(self.names - spec.whole(name)) for name in spec.all_types]

    def kept(self, name: str, value: Any) -> str:
        """Return what ``Extra`` holds for a field: in its kind if it can be, else as it came."""
        kind = self.kind(name)
        if kind in ("integer", "float"):
            coerced = COERCE[kind](value)
            value = value if coerced is FAILED else coerced
        return as_kept(value)


def _in_usual_order(spec: Spec, paths: set[str]) -> Iterable[str]:
    """Return the paths in the order in which events usually have them: that is decoded fastest."""
    usual = dict.fromkeys(name for names in spec.types.values() for name in names)
    return [*usual, *sorted(paths - usual.keys())]


def _flat_kind(spec: Spec, name: str) -> FieldKind:
    kind = spec.kind(name)
    return "nested" if kind == "strings" else kind
