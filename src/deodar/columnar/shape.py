"""The msgspec struct that events are decoded to, and the Arrow struct that its tuples become.

It has the fields that a spec names, flat ones first, then those that are walked into; and after
them fields that the spec does not know but that came often enough to be worth a place ("learned").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import pyarrow as pa

from deodar.columnar import kernels
from deodar.columnar.values import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from deodar.columnar.fields import FieldKind, Fields

_Int64 = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
_TYPES: Final[dict[FieldKind, Any]] = {
    "string": str | None,
    "integer": _Int64 | None,
    "float": float | None,
    "nested": Any,
}


class Shape:
    """What an event is decoded to. ``flat`` is how many fields are flat; ``tail`` names the rest.

    ``absent`` is the tail of an event that has none of those. ``strict`` refuses fields without a
    place, ``loose`` passes over them.
    """

    def __init__(self, fields: Fields, learned: tuple[str, ...] = ()) -> None:
        names = sorted(fields.names, key=lambda name: fields.kind(name) == "nested")
        kinds: list[FieldKind] = [fields.kind(name) for name in names]
        kinds += ["nested"] * len(learned)
        self.learned = learned
        self.names = (*names, *learned)
        self.known = frozenset(self.names)
        self.flat = sum(kind != "nested" for kind in kinds)
        self.nested = tuple(names[self.flat :])
        self.tail = self.names[self.flat :]
        self.absent = (None,) * len(self.tail)
        self.arrow = pa.struct(
            [(name, _arrow_type(kind)) for name, kind in zip(self.names, kinds, strict=True)]
        )
        self.strict = self._decoder(kinds, forbid_unknown_fields=True)
        self.loose = self._decoder(kinds, forbid_unknown_fields=False)

    def _decoder(
        self, kinds: list[FieldKind], *, forbid_unknown_fields: bool
    ) -> msgspec.json.Decoder[Any]:
        struct = msgspec.defstruct(
            "Event",
            [(f"f{index}", _TYPES[kind], None) for index, kind in enumerate(kinds)],
            rename={f"f{index}": name for index, name in enumerate(self.names)},
            forbid_unknown_fields=forbid_unknown_fields,
            gc=False,
        )
        return msgspec.json.Decoder(struct)


def _arrow_type(kind: FieldKind) -> Any:
    return pa.null() if kind == "nested" else kernels.ARROW[kind]
