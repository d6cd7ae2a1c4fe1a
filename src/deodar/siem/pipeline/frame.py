"""A batch of normalized events while rules work on it: columns, and entries of maps, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from deodar.siem.pipeline.fields import ARROW, EMPTY, FieldRef, field
from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Mask = NDArray[np.bool_]
_MAP = pa.map_(pa.string(), pa.string())


class EventFrame:
    """The events of one batch. `rows` are their places in the answer that they came in."""

    def __init__(self, events: pa.RecordBatch, rows: Sequence[int] | NDArray[np.int64]) -> None:
        self.rows: NDArray[np.int64] = np.asarray(rows, np.int64)
        self._columns = dict(zip(events.schema.names, events.columns, strict=True))
        self._read: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, ref: FieldRef) -> pa.Array:
        """Return what the events hold in a field, the empty value where one holds nothing."""
        found = self._read.get(ref.name)
        if found is None:
            found = self._read[ref.name] = self._filled(ref)
        return found

    def _filled(self, ref: FieldRef) -> pa.Array:
        kind = ARROW[ref.kind]
        column = self._columns.get(ref.column)
        if column is None:
            return pa.repeat(pa.scalar(EMPTY[ref.kind], kind), len(self))
        if ref.key:
            column = pc.map_lookup(column, pa.scalar(ref.key), "first")
        if column.type != kind:
            column = column.cast(kind)
        if not column.null_count:
            return column
        if ref.kind == "strings":
            return pc.if_else(column.is_valid(), column, pa.scalar([], kind))
        return column.fill_null(EMPTY[ref.kind])

    def write(self, ref: FieldRef, values: pa.Array, where: Mask) -> None:
        """Put values into a field of the events where the mask is true."""
        if ref.key:
            self._columns[ref.column] = self._with_entry(ref, values, where)
        elif where.all():
            self._columns[ref.column] = values
        else:
            self._columns[ref.column] = pc.if_else(pa.array(where), values, self.read(ref))
        self._read = {
            name: column for name, column in self._read.items() if name.split(".")[0] != ref.column
        }

    def _with_entry(self, ref: FieldRef, values: pa.Array, where: Mask) -> pa.Array:
        """Return a map column with one entry set; an empty text takes the entry away."""
        old = self._columns.get(ref.column)
        if old is None:
            old = pa.nulls(len(self), _MAP)
        old = old.take(pa.array(np.arange(len(old)))) if old.offset else old
        starts, items = _owners(old)
        replaced = pc.equal(old.keys, ref.key).to_numpy(zero_copy_only=False) & where[items]
        filled = np.flatnonzero(where & (pc.binary_length(values).to_numpy() > 0))
        kept = np.flatnonzero(~replaced)
        owners = np.concatenate([items[kept], filled])
        order = np.argsort(owners, kind="stable")
        keys = pa.concat_arrays(
            [old.keys.take(pa.array(kept)), pa.repeat(pa.scalar(ref.key), len(filled))]
        )
        texts = pa.concat_arrays([old.items.take(pa.array(kept)), values.take(pa.array(filled))])
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(starts)))])
        picked = pa.array(order)
        return pa.MapArray.from_arrays(
            pa.array(offsets.astype(np.int32)), keys.take(picked), texts.take(picked)
        )

    def keep(self, where: Mask) -> EventFrame:
        """Return the events for which the mask is true."""
        if where.all():
            return self
        return EventFrame(self.batch().filter(pa.array(where)), self.rows[where])

    def batch(self) -> pa.RecordBatch:
        """Return the events as a batch."""
        return pa.RecordBatch.from_arrays(list(self._columns.values()), list(self._columns))

    def distinct(
        self, refs: Sequence[FieldRef], where: Mask
    ) -> tuple[list[tuple[Any, ...]], NDArray[np.int64]]:
        """Return the distinct combinations of some fields, and which of them each event has.

        Only events for which the mask is true are looked at; the places are for those.
        """
        chosen = pa.array(np.flatnonzero(where))
        codes = np.zeros(len(chosen), np.int64)
        columns = [self.read(ref).take(chosen) for ref in refs]
        for column in columns:
            part, size = _codes(column)
            codes = codes * max(size, 1) + part
            _, codes = np.unique(codes, return_inverse=True)
        _, firsts, places = np.unique(codes, return_index=True, return_inverse=True)
        at = pa.array(firsts)
        keys = list(zip(*(column.take(at).to_pylist() for column in columns), strict=True))
        return (keys if refs else [()] * len(firsts)), places


def _codes(column: pa.Array) -> tuple[NDArray[np.int64], int]:
    if pa.types.is_list(column.type):
        column = pa.array(["\x1f".join(map(str, item)) for item in column.to_pylist()])
    encoded = column.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)


def _owners(column: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return where the entries of each row of a map begin, and the row of each entry."""
    offsets = column.offsets.to_numpy()
    lengths = offsets[1:] - offsets[:-1]
    return offsets[:-1], np.repeat(np.arange(len(column)), lengths)


def joined(first: pa.RecordBatch, second: pa.RecordBatch) -> pa.RecordBatch:
    """Return the events of both batches; what one has no column for is empty in it."""
    names = list(dict.fromkeys((*first.schema.names, *second.schema.names)))
    columns = [
        pa.concat_arrays([_part(one, name, first, second) for one in (first, second)])
        for name in names
    ]
    return pa.RecordBatch.from_arrays(columns, names)


def _part(
    batch: pa.RecordBatch, name: str, first: pa.RecordBatch, second: pa.RecordBatch
) -> pa.Array:
    """Return a column of one of two batches, in the type that the first one has it in."""
    owner = first if name in first.schema.names else second
    kind = owner.schema.field(name).type
    if name in batch.schema.names:
        return batch.column(name).cast(kind)
    empty: Any = "" if pa.types.is_string(kind) else 0
    if pa.types.is_list(kind) or pa.types.is_map(kind):
        empty = []
    return pa.repeat(pa.scalar(empty, kind), batch.num_rows)


def frame_of(events: Iterable[dict[str, Any]]) -> EventFrame:
    """Return events (field to value) as a frame; raises ValueError for what is no such event."""
    listed = list(events)
    names = list(dict.fromkeys(name for event in listed for name in event))
    arrays = [_column(name, [event.get(name) for event in listed]) for name in names]
    batch = pa.RecordBatch.from_arrays(arrays, names)
    return EventFrame(batch, np.arange(len(listed)))


def _column(name: str, values: list[Any]) -> pa.Array:
    kind: Any = None
    if name in MODEL and MODEL[name].kind == "map":
        kind = _MAP
        values = [
            list(value.items()) if isinstance(value, dict) else value or [] for value in values
        ]
    elif name in MODEL:
        ref = field(name)
        kind = ARROW[ref.kind]
        values = [EMPTY[ref.kind] if value is None else value for value in values]
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error
