"""From the bytes of events to Arrow arrays, one for each field: the hot part of the fast path.

All events of a spec are decoded to one msgspec struct that has every field the spec names. It
refuses other fields: that refusal is how a field that nobody expects is noticed at no cost. Such
an event is decoded again by the same struct without the refusal, and its unexpected fields are
collected for ``Extra``. What is refused for its values is left to the interpreter.

The structs become tuples and the tuples one Arrow struct array, both without a loop in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import pyarrow as pa

from deodar.columnar import kernels
from deodar.columnar.errors import Refused
from deodar.columnar.frame import Frame
from deodar.columnar.spec import Spec, head
from deodar.columnar.values import (
    COERCE,
    FAILED,
    INT64_MAX,
    INT64_MIN,
    decode_field,
    is_empty,
    is_too_deep,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.columnar.fields import FieldKind, Fields

Buffer = bytes | msgspec.Raw

RUN: Final = 2048
"""How many events are decoded at a time: their objects should still be in the cache afterwards."""

_Int64 = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
_TYPES: Final[dict[FieldKind, Any]] = {
    "string": str | None,
    "integer": _Int64 | None,
    "float": float | None,
    "nested": Any,
}
_REFUSALS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
_as_tuple: Callable[[Any], tuple[Any, ...]] = msgspec.structs.astuple


class EventDecoder:
    """Decodes batches of events by one spec."""

    def __init__(self, spec: Spec, fields: Fields) -> None:
        self._spec = spec
        self._fields = fields
        self._names = sorted(fields.names, key=lambda name: fields.kind(name) == "nested")
        flat = [name for name in self._names if fields.kind(name) != "nested"]
        self._flat = len(flat)
        self._nested = self._names[self._flat :]
        self._absent = (None,) * len(self._nested)
        self._arrow = pa.struct([(name, _arrow_type(fields.kind(name))) for name in self._names])
        self._strict = self._decoder(forbid_unknown_fields=True)
        self._loose = self._decoder(forbid_unknown_fields=False)
        self._keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._readers = _nested_readers(spec)

    def decode(self, events: Sequence[Buffer]) -> Frame:
        """Return the decoded events; nothing is raised, whatever the bytes are."""
        batch = _Batch(self._nested)
        for start in range(0, len(events), RUN):
            tuples = self._tuples(events[start : start + RUN], start, batch)
            rows = self._rows(tuples, start, batch)
            batch.arrays.append(pa.array(rows, self._arrow))
        return self._frame(batch)

    def _decoder(self, *, forbid_unknown_fields: bool) -> msgspec.json.Decoder[Any]:
        kinds = [(f"f{i}", self._fields.kind(name)) for i, name in enumerate(self._names)]
        struct = msgspec.defstruct(
            "Event",
            [(attribute, _TYPES[kind], None) for attribute, kind in kinds],
            rename={f"f{i}": name for i, name in enumerate(self._names)},
            forbid_unknown_fields=forbid_unknown_fields,
            gc=False,
        )
        return msgspec.json.Decoder(struct)

    def _tuples(self, events: Sequence[Buffer], start: int, batch: _Batch) -> list[Any]:
        """Decode all events at the speed of C; at each refusal take that one apart and go on.

        An event that is refused for good leaves None.
        """
        tuples: list[Any] = []
        waiting = iter(events)
        while True:
            try:
                tuples.extend(map(_as_tuple, map(self._strict.decode, waiting)))
            except _REFUSALS:
                place = len(tuples)
                tuples.append(self._second_try(events[place], start + place, batch))
            else:
                return tuples

    def _second_try(self, event: Buffer, place: int, batch: _Batch) -> tuple[Any, ...] | None:
        try:
            struct = self._loose.decode(event)
            unexpected = self._unexpected(event)
        except (*_REFUSALS, Refused):
            return None
        if unexpected:
            batch.rest[place] = unexpected
        return _as_tuple(struct)

    def _unexpected(self, event: Buffer) -> dict[str, str]:
        """Return the fields that the spec does not name, as ``Extra`` keeps them."""
        found: dict[str, str] = {}
        for name, raw in self._keys.decode(event).items():
            if name not in self._fields.names:
                value = decode_field(bytes(raw))
                if not is_empty(value):
                    found[name] = self._fields.kept(name, value)
        return found

    def _rows(self, tuples: list[Any], start: int, batch: _Batch) -> list[tuple[Any, ...]]:
        """Return the tuples that are there, with their nested fields taken out into the batch."""
        rows = tuples
        if None in tuples:
            batch.places += [start + row for row, x in enumerate(tuples) if x is not None]
            batch.refused += [start + row for row, x in enumerate(tuples) if x is None]
            rows = [x for x in tuples if x is not None]
        else:
            batch.places += range(start, start + len(tuples))
        if self._nested:
            self._take_nested(rows, batch)
        return rows

    def _take_nested(self, rows: list[tuple[Any, ...]], batch: _Batch) -> None:
        flat, absent = self._flat, self._absent
        first = len(batch.places) - len(rows)
        bad: list[int] = []
        for row, values in enumerate(rows):
            nested = values[flat:]
            if nested != absent:
                rows[row] = values[:flat] + absent
                if self._fits(nested):
                    batch.add_nested(first + row, nested)
                else:
                    bad.append(row)
        for row in reversed(bad):
            del rows[row]
            batch.withdraw(first + row)

    def _fits(self, values: tuple[Any, ...]) -> bool:
        """True if what the rules find inside nested values has its kind, and they can be kept."""
        if any(map(is_too_deep, values)):
            return False
        for name, value in zip(self._nested, values, strict=True):
            for parts, kind in self._readers.get(name, ()):
                found = walk(value, parts)
                if not is_empty(found) and COERCE[kind](found) is FAILED:
                    return False
        return True

    def _frame(self, batch: _Batch) -> Frame:
        array = pa.concat_arrays(batch.arrays) if batch.arrays else pa.array([], self._arrow)
        columns = zip(self._names, array.flatten()[: self._flat], strict=False)
        return Frame(
            spec=self._spec,
            places=batch.places,
            arrays={name: column for name, column in columns if column.null_count < len(column)},
            nested={name: values for name, values in batch.nested.items() if values},
            rest=batch.rest,
            refused=sorted(batch.refused),
        )


class _Batch:
    """What is collected while a batch is decoded."""

    def __init__(self, nested: list[str]) -> None:
        self.arrays: list[pa.Array] = []
        self.places: list[int] = []
        self.nested: dict[str, dict[int, Any]] = {name: {} for name in nested}
        self.rest: dict[int, dict[str, str]] = {}
        self.refused: list[int] = []

    def add_nested(self, row: int, values: tuple[Any, ...]) -> None:
        """Keep the nested values of a row."""
        for found, value in zip(self.nested.values(), values, strict=True):
            if not is_empty(value):
                found[row] = value

    def withdraw(self, row: int) -> None:
        """Take a row back and leave its event to the interpreter. Rows after it move up."""
        self.refused.append(self.places.pop(row))
        for name, found in self.nested.items():
            self.nested[name] = {r - (r > row): value for r, value in found.items() if r != row}


def _arrow_type(kind: FieldKind) -> Any:
    return pa.null() if kind == "nested" else kernels.ARROW[kind]


def _nested_readers(spec: Spec) -> dict[str, list[tuple[list[str], str]]]:
    """Return for each field that is walked into the ways that the rules walk."""
    readers: dict[str, list[tuple[list[str], str]]] = {}
    paths = {rule.path for column in spec.columns for rule in column.rules if rule.path}
    for path in sorted(paths):
        readers.setdefault(head(path), []).append((path.split(".")[1:], spec.kind(path)))
    return readers
