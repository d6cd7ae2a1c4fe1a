"""msgspec Structs made from a spec: one for each event type, with only the fields that it carries.

There are two families. The narrow structs have the fields that events of a type usually carry, and
refuse others: that refusal is how a field that nobody expects is noticed at no cost. The wide structs have
every field that the rules can read, and let others pass; those are then collected one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from deodar.columnar.spec import Spec, head
from deodar.columnar.values import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deodar.columnar.fields import FieldKind, Fields

Int64 = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
NO_RAW: Final = msgspec.Raw(b"")
"""The one object that stands for an absent field of kind "raw"."""

_TYPES: Final[dict[FieldKind, Any]] = {
    "string": str | None,
    "integer": Int64 | None,
    "float": float | None,
    "raw": msgspec.Raw,
}


class Layout:
    """The struct of one event type (as it is spelled in the events), and where its fields are.

    ``positions`` maps a field to its place in ``msgspec.structs.astuple``.
    """

    def __init__(
        self, spec: Spec, fields: Fields, given: str, names: Sequence[str], *, strict: bool
    ) -> None:
        self.given = given
        self.canonical = spec.canonical(given)
        self.positions = {name: index for index, name in enumerate(names)}
        self.raws = tuple(name for name in names if fields.kind(name) == "raw")
        self.struct = msgspec.defstruct(
            f"Event_{len(given)}_{abs(hash(given))}",
            [_field(index, fields.kind(name)) for index, name in enumerate(names)],
            rename={f"f{index}": name for index, name in enumerate(names)},
            tag_field=spec.discriminator,
            tag=given,
            forbid_unknown_fields=strict,
            gc=False,
        )


def _field(index: int, kind: FieldKind) -> tuple[str, Any, Any]:
    default = msgspec.field(default=NO_RAW if kind == "raw" else None)
    return f"f{index}", _TYPES[kind], default


def narrow(spec: Spec, fields: Fields) -> list[Layout]:
    """Return a layout with the usual fields for each known event type and each alias."""
    return [_layout(spec, fields, given, wide=False) for given in _spellings(spec)]


def wide(spec: Spec, fields: Fields) -> list[Layout]:
    """Return a layout with all readable fields for each known event type and each alias."""
    return [_layout(spec, fields, given, wide=True) for given in _spellings(spec)]


def _spellings(spec: Spec) -> Iterable[str]:
    return dict.fromkeys([*spec.types, *spec.aliases])


def _layout(spec: Spec, fields: Fields, given: str, *, wide: bool) -> Layout:
    canonical = spec.canonical(given)
    names = dict.fromkeys(spec.types[canonical])
    reads = sorted(head(path) for path in spec.reads(canonical))
    if wide or not names:
        names |= dict.fromkeys(reads)
    names.pop(spec.discriminator, None)
    return Layout(spec, fields, given, list(names), strict=not wide)
