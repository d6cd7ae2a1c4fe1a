"""From the bytes of events to Arrow arrays, one for each field: the hot part of the fast path.

All events of a spec are decoded to one msgspec struct that has every field the spec names. It
refuses other fields: that refusal is how a field that nobody expects is noticed at no cost. Such an
event is decoded again without the refusal, and its unexpected fields are collected for ``Extra``; a
field that comes again and again gets a place of its own. What is refused for its values is left to
the interpreter.

The structs become tuples and the tuples one Arrow struct array, both without a loop in Python.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa

from deodar.columnar.errors import Refused
from deodar.columnar.frame import Frame
from deodar.columnar.shape import Shape
from deodar.columnar.spec import head
from deodar.columnar.values import COERCE, FAILED, decode_field, is_empty, is_too_deep, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deodar.columnar.fields import Fields
    from deodar.columnar.spec import Spec

Buffer = bytes | msgspec.Raw
Tuple = tuple[Any, ...]

RUN: Final = 2048
"""How many events are decoded at a time: their objects should still be in the cache afterwards."""

LEARN_AFTER: Final = 64
"""How often an unexpected field must come before it gets a place."""

LEARN_AT_MOST: Final = 64
"""How many unexpected fields can get a place."""

_REFUSALS = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
_as_tuple: Callable[[Any], Tuple] = msgspec.structs.astuple


class EventDecoder:
    """Decodes batches of events by one spec.

    It remembers which unexpected fields come often. That changes its speed, never its results.
    """

    def __init__(self, spec: Spec, fields: Fields) -> None:
        self._spec = spec
        self._fields = fields
        self._shape = Shape(fields)
        self._seen: Counter[str] = Counter()
        self._keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._readers = _nested_readers(spec)

    def decode(self, events: Sequence[Buffer]) -> Frame:
        """Return the decoded events; nothing is raised, whatever the bytes are."""
        batch = _Batch(self._shape)
        for start in range(0, len(events), RUN):
            tuples = self._tuples(events[start : start + RUN], start, batch)
            rows = self._rows(tuples, start, batch)
            batch.arrays.append(pa.array(rows, batch.shape.arrow))
        self._learn()
        return batch.frame(self._spec)

    def _tuples(self, events: Sequence[Buffer], start: int, batch: _Batch) -> list[Any]:
        """Decode all events at the speed of C; at each refusal take that one apart and go on.

        An event that is refused for good leaves None.
        """
        tuples: list[Any] = []
        waiting = iter(events)
        while True:
            try:
                tuples.extend(map(_as_tuple, map(batch.shape.strict.decode, waiting)))
            except _REFUSALS:
                place = len(tuples)
                tuples.append(self._second_try(events[place], start + place, batch))
            else:
                return tuples

    def _second_try(self, event: Buffer, place: int, batch: _Batch) -> Tuple | None:
        try:
            struct = batch.shape.loose.decode(event)
            unexpected = self._unexpected(event, batch.shape)
        except (*_REFUSALS, Refused):
            return None
        if unexpected:
            batch.rest[place] = unexpected
        return _as_tuple(struct)

    def _unexpected(self, event: Buffer, shape: Shape) -> dict[str, str]:
        """Return the fields that have no place, as ``Extra`` keeps them."""
        raws = self._keys.decode(event)
        names = raws.keys() - shape.known
        self._seen.update(names)
        values = ((name, decode_field(bytes(raws[name]))) for name in raws if name in names)
        return {name: self._fields.kept(name, v) for name, v in values if not is_empty(v)}

    def _learn(self) -> None:
        """Give a place to the unexpected fields that came often; forget the others if too many."""
        learned = self._shape.learned
        often = [n for n, count in self._seen.items() if count >= LEARN_AFTER and n not in learned]
        room = LEARN_AT_MOST - len(learned)
        if often and room > 0:
            self._shape = Shape(self._fields, (*learned, *sorted(often)[:room]))
        if often or len(self._seen) > 10 * LEARN_AT_MOST:
            self._seen = Counter()

    def _rows(self, tuples: list[Any], start: int, batch: _Batch) -> list[Tuple]:
        """Return the tuples that are there, with all but their flat fields taken into the batch."""
        rows = tuples
        if None in tuples:
            batch.places += [start + row for row, x in enumerate(tuples) if x is not None]
            batch.refused += [start + row for row, x in enumerate(tuples) if x is None]
            rows = [x for x in tuples if x is not None]
        else:
            batch.places += range(start, start + len(tuples))
        if batch.shape.tail:
            self._take_tails(rows, batch)
        return rows

    def _take_tails(self, rows: list[Tuple], batch: _Batch) -> None:
        flat, absent = batch.shape.flat, batch.shape.absent
        first = len(batch.places) - len(rows)
        bad: list[int] = []
        for row, values in enumerate(rows):
            tail = values[flat:]
            if tail != absent:
                rows[row] = values[:flat] + absent
                if self._fits(zip(batch.shape.tail, tail, strict=True)):
                    self._keep_tail(tail, first + row, batch)
                else:
                    bad.append(row)
        for row in reversed(bad):
            del rows[row]
            batch.withdraw(first + row)

    def _fits(self, tail: Iterable[tuple[str, Any]]) -> bool:
        """True if what the rules find inside nested values has its kind, and they can be kept."""
        for name, value in tail:
            if is_too_deep(value):
                return False
            for parts, kind in self._readers.get(name, ()):
                found = walk(value, parts)
                if not is_empty(found) and COERCE[kind](found) is FAILED:
                    return False
        return True

    def _keep_tail(self, tail: Tuple, row: int, batch: _Batch) -> None:
        shape = batch.shape
        for name, value in zip(shape.tail, tail, strict=True):
            if is_empty(value):
                continue
            if name in batch.nested:
                batch.nested[name][row] = value
            else:
                rest = batch.rest.setdefault(batch.places[row], {})
                rest[name] = self._fields.kept(name, value)


class _Batch:
    """What is collected while a batch is decoded."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.arrays: list[pa.Array] = []
        self.places: list[int] = []
        self.nested: dict[str, dict[int, Any]] = {name: {} for name in shape.nested}
        self.rest: dict[int, dict[str, str]] = {}
        self.refused: list[int] = []

    def withdraw(self, row: int) -> None:
        """Take a row back and leave its event to the interpreter. Rows after it move up."""
        self.refused.append(self.places.pop(row))
        for name, found in self.nested.items():
            self.nested[name] = {r - (r > row): value for r, value in found.items() if r != row}

    def frame(self, spec: Spec) -> Frame:
        """Return the batch as columns; fields without any value are left out."""
        shape = self.shape
        array = pa.concat_arrays(self.arrays) if self.arrays else pa.array([], shape.arrow)
        columns = zip(shape.names, array.flatten()[: shape.flat], strict=False)
        return Frame(
            spec=spec,
            places=self.places,
            arrays={name: column for name, column in columns if column.null_count < len(column)},
            nested={name: values for name, values in self.nested.items() if values},
            rest=self.rest,
            refused=sorted(self.refused),
        )


def _nested_readers(spec: Spec) -> dict[str, list[tuple[list[str], str]]]:
    """Return for each field that is walked into the ways that the rules walk."""
    readers: dict[str, list[tuple[list[str], str]]] = {}
    paths = {rule.path for column in spec.columns for rule in column.rules if rule.path}
    for path in sorted(paths):
        readers.setdefault(head(path), []).append((path.split(".")[1:], spec.kind(path)))
    return readers
