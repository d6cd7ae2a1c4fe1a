"""Every event field mapped to a column of its own name: what the EDR server's log stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from deodar.columnar.spec import Column, Kind, Rule, Spec, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class FieldLike(Protocol):
    """What is needed of a field of the vocabulary: its name, and its kind by name."""

    @property
    def name(self) -> str:
        """Name of the field, dotted if it is inside an object."""
        ...

    @property
    def kind(self) -> str:
        """One of "string", "integer" and "strings"."""
        ...


_KINDS: dict[str, tuple[Kind, Type]] = {
    "string": ("string", "string"),
    "integer": ("integer", "int64"),
    "float": ("float", "float64"),
    "strings": ("strings", "strings"),
}


def spec_for(
    fields: Iterable[FieldLike],
    types: Mapping[str, Iterable[str]] | None = None,
    *,
    name: str = "identity",
) -> Spec:
    """Return a spec that copies each field to a column of the same name.

    Texts are "" when empty, integers are null when absent, lists are empty lists. A field that is
    not among ``fields`` goes to ``Extra``, and so does a whole object of which parts are columns
    (``Ioa``). ``types`` names the fields that each known event type usually carries, for speed;
    an event of a type that is not there is slower, not different.
    """
    chosen = list(fields)
    columns = tuple(
        Column(f.name, _KINDS[f.kind][1], (Rule(path=f.name),), nullable=True) for f in chosen
    )
    kinds = {f.name: _KINDS[f.kind][0] for f in chosen}
    usual = {key: tuple(dict.fromkeys(_heads(names))) for key, names in (types or {}).items()}
    return Spec(name=name, columns=columns, kinds=kinds, types=usual)


def _heads(names: Iterable[str]) -> Iterable[str]:
    return (name.split(".", 1)[0] for name in names)
