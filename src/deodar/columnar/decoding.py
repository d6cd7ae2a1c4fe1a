"""From the bytes of events to Arrow arrays, one for each field: the hot part of the fast path.

Events are taken in small runs, so that the objects made of them are used while they are still in the
processor's cache: decoded to structs, turned into columns by layout, brought back into the order of
the input, and put into Arrow arrays. An event that its narrow struct refuses is tried with the wide one,
whose unexpected fields are collected for ``Extra``; what both refuse is left to the interpreter.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Union

import msgspec
import pyarrow as pa

from deodar.columnar import kernels
from deodar.columnar.errors import Refused
from deodar.columnar.frame import Frame
from deodar.columnar.layouts import NO_RAW, Layout, narrow, wide
from deodar.columnar.spec import Spec, head
from deodar.columnar.values import COERCE, FAILED, decode, is_empty, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.columnar.fields import FieldKind, Fields

Buffer = bytes | msgspec.Raw
Rest = dict[int, dict[str, str]]
"""By place in the input, the fields that no layout has."""

RUN = 256
"""How many events are decoded at a time; measured: 250 to 500 are best, 10,000 take twice as long."""

_REFUSALS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


class EventDecoder:
    """Decodes batches of events by one spec."""

    def __init__(self, spec: Spec, fields: Fields) -> None:
        self._spec = spec
        self._fields = fields
        narrows, wides = narrow(spec, fields), wide(spec, fields)
        self._layouts = [*narrows, *wides]
        self._codes = {layout.struct: code for code, layout in enumerate(self._layouts)}
        self._narrow = _union_decoder(narrows)
        self._wide = _union_decoder(wides)
        self._keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._readers = _nested_readers(spec)
        self._plans: dict[tuple[int, ...], list[_Plan]] = {}

    def decode(self, events: Sequence[Buffer]) -> Frame:
        """Return the decoded events; nothing is raised, whatever the bytes are."""
        batch = _Batch(self._layouts)
        for start in range(0, len(events), RUN):
            run = events[start : start + RUN]
            structs = self._structs(run, start, batch.rest)
            self._add(batch, structs, start)
        return batch.frame(self._spec)

    def _structs(self, events: Sequence[Buffer], start: int, rest: Rest) -> list[Any]:
        """Decode all events at the speed of C; at each refusal take that one apart and go on."""
        structs: list[Any] = []
        decode_one = self._narrow.decode
        waiting = iter(events)
        while True:
            try:
                structs.extend(map(decode_one, waiting))
            except _REFUSALS:
                place = len(structs)
                structs.append(self._second_try(events[place], start + place, rest))
            else:
                return structs

    def _second_try(self, event: Buffer, place: int, rest: Rest) -> Any:
        try:
            struct = self._wide.decode(event)
            unexpected = self._unexpected(event, self._layouts[self._codes[type(struct)]])
        except (*_REFUSALS, Refused):
            return None
        if unexpected:
            rest[place] = unexpected
        return struct

    def _unexpected(self, event: Buffer, layout: Layout) -> dict[str, str]:
        """Return the fields that the layout does not have, as ``Extra`` keeps them."""
        found: dict[str, str] = {}
        for name, raw in self._keys.decode(event).items():
            if name not in layout.positions and name != self._spec.discriminator:
                value = decode(bytes(raw))
                if not is_empty(value):
                    found[name] = self._fields.kept(name, value)
        return found

    def _add(self, batch: _Batch, structs: list[Any], start: int) -> None:
        """Add a run of structs (None where the event was refused) to the batch."""
        groups = self._group(structs)
        nested = self._nested(groups, structs)
        if None in structs:
            batch.refuse(start, structs)
            groups = self._group(structs)
        codes = sorted(groups)
        rows = [row for code in codes for row in groups[code]]
        if not rows:
            return
        plans = self._plans.get(tuple(codes)) or self._make_plans(tuple(codes))
        columns = [_columns([structs[row] for row in groups[code]]) for code in codes]
        order = _order(rows)
        batch.add(start, rows, codes, [len(groups[code]) for code in codes], order)
        for name, arrow_type, positions in plans:
            if arrow_type is None:
                batch.add_nested(name, [nested[name].get(row) for row in sorted(rows)])
                continue
            values: list[Any] = []
            for column, position in zip(columns, positions, strict=True):
                values += [None] * len(column[0]) if position is None else column[position]
            batch.add_array(name, pa.array(order(values), arrow_type))

    def _group(self, structs: list[Any]) -> dict[int, list[int]]:
        groups: dict[int, list[int]] = {}
        codes = self._codes
        for row, struct in enumerate(structs):
            if struct is not None:
                groups.setdefault(codes[type(struct)], []).append(row)
        return groups

    def _nested(
        self, groups: dict[int, list[int]], structs: list[Any]
    ) -> dict[str, dict[int, Any]]:
        """Return the decoded nested fields by name and row; put None for structs that do not fit."""
        found: dict[str, dict[int, Any]] = {}
        for code, rows in groups.items():
            layout = self._layouts[code]
            for name in layout.raws:
                values = found.setdefault(name, {})
                for row, raw in _raws(structs, rows, layout.positions[name]):
                    try:
                        values[row] = self._nested_value(name, raw)
                    except Refused:
                        structs[row] = None
        return found

    def _nested_value(self, name: str, raw: msgspec.Raw) -> Any:
        value = decode(bytes(raw))
        for parts, kind in self._readers.get(name, ()):
            found = walk(value, parts)
            if not is_empty(found) and COERCE[kind](found) is FAILED:
                raise Refused(".".join((name, *parts)), f"is no {kind}")
        return value

    def _make_plans(self, codes: tuple[int, ...]) -> list[_Plan]:
        """Return for each field of some layouts its type and its place in each of them."""
        layouts = [self._layouts[code] for code in codes]
        names = dict.fromkeys(name for layout in layouts for name in layout.positions)
        plans: list[_Plan] = [
            (name, _ARROW[self._fields.kind(name)], [lay.positions.get(name) for lay in layouts])
            for name in names
        ]
        if len(self._plans) > 256:
            self._plans.clear()
        self._plans[codes] = plans
        return plans


_Plan = tuple[str, Any, list[int | None]]

_ARROW: dict[FieldKind, Any] = {
    "string": kernels.ARROW["string"],
    "integer": kernels.ARROW["integer"],
    "float": kernels.ARROW["float"],
    "raw": None,
}


class _Batch:
    """What is collected while a batch is decoded."""

    def __init__(self, layouts: list[Layout]) -> None:
        self._layouts = layouts
        self._arrays: dict[str, list[pa.Array]] = {}
        self._nested: dict[str, list[Any]] = {}
        self._places: list[int] = []
        self._codes: list[int] = []
        self._lengths: dict[str, int] = {}
        self._before = 0
        self._refused: list[int] = []
        self.rest: Rest = {}

    def refuse(self, start: int, structs: list[Any]) -> None:
        self._refused += [start + row for row, struct in enumerate(structs) if struct is None]

    def add(
        self,
        start: int,
        rows: list[int],
        codes: list[int],
        sizes: list[int],
        order: Callable[[list[Any]], Sequence[Any]],
    ) -> None:
        self._before = len(self._places)
        self._places += [start + row for row in sorted(rows)]
        grouped = [code for code, size in zip(codes, sizes, strict=True) for _ in range(size)]
        self._codes += order(grouped)

    def add_array(self, name: str, array: pa.Array) -> None:
        parts = self._arrays.setdefault(name, [])
        self._fill(name, array.type, parts)
        parts.append(array)
        self._lengths[name] = len(self._places)

    def add_nested(self, name: str, values: list[Any]) -> None:
        found = self._nested.setdefault(name, [])
        found += [None] * (self._before - len(found)) + values

    def _fill(self, name: str, arrow_type: Any, parts: list[pa.Array]) -> None:
        """Put nulls for the events since the field was last seen."""
        missing = self._before - self._lengths.get(name, 0)
        if missing:
            parts.append(pa.nulls(missing, arrow_type))

    def frame(self, spec: Spec) -> Frame:
        self._before = len(self._places)
        for name, parts in self._arrays.items():
            self._fill(name, parts[0].type, parts)
        for name in self._nested:
            self.add_nested(name, [])
        return Frame(
            spec=spec,
            layouts=self._layouts,
            places=self._places,
            codes=self._codes,
            arrays={name: pa.concat_arrays(parts) for name, parts in self._arrays.items()},
            nested=self._nested,
            rest=self.rest,
            refused=self._refused,
        )


def _columns(structs: list[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*map(msgspec.structs.astuple, structs), strict=False)) or [(None,) * len(structs)]


def _order(rows: list[int]) -> Callable[[list[Any]], Sequence[Any]]:
    """Return what brings values that lie by group back into the order of the rows."""
    order = sorted(range(len(rows)), key=rows.__getitem__)
    if len(order) < 2 or order == list(range(len(order))):
        return list
    return itemgetter(*order)


def _raws(structs: list[Any], rows: list[int], position: int) -> list[tuple[int, msgspec.Raw]]:
    attribute = f"f{position}"
    pairs = [(row, getattr(structs[row], attribute)) for row in rows if structs[row] is not None]
    return [(row, raw) for row, raw in pairs if raw is not NO_RAW]


def _union_decoder(layouts: list[Layout]) -> msgspec.json.Decoder[Any]:
    structs = tuple(layout.struct for layout in layouts)
    return msgspec.json.Decoder(Union[structs])  # noqa: UP007  (made from a list)


def _nested_readers(spec: Spec) -> dict[str, list[tuple[list[str], str]]]:
    """Return for each field that is walked into the ways that the rules walk."""
    readers: dict[str, list[tuple[list[str], str]]] = {}
    paths = {rule.path for column in spec.columns for rule in column.rules if rule.path}
    for path in sorted(paths):
        readers.setdefault(head(path), []).append((path.split(".")[1:], spec.kind(path)))
    return readers
