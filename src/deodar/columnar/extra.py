"""The ``Extra`` column: for each row a map from field to text, made without a loop over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from deodar.columnar import kernels
    from deodar.columnar.fields import Fields
    from deodar.columnar.frame import Frame


class ExtraBuilder:
    """Collects entries (row, field, text) and makes the column."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._rows: list[Any] = []
        self._names: list[Any] = []
        self._texts: list[pa.Array] = []
        self._codes: dict[str, int] = {}

    def add_frame(self, frame: Frame, unread: Sequence[Collection[str]]) -> None:
        """Add what the frame keeps, the fields that no rule reads, and those that no layout has."""
        for name, mask in frame.kept(unread):
            if name in frame.nested:
                self._add_nested(frame, name, mask)
            else:
                self._add_array(frame.arrays[name], name, mask)
        self._add_rest(frame)

    def _add_rest(self, frame: Frame) -> None:
        """Add the fields that have no place, of all rows at once."""
        rows = {place: row for row, place in enumerate(frame.places.tolist())} if frame.rest else {}
        entries = [
            (rows[place], self._code(name), text)
            for place, rest in frame.rest.items()
            if place in rows
            for name, text in rest.items()
        ]
        self._add_entries(entries)

    def _add_entries(self, entries: Sequence[tuple[int, int, str]]) -> None:
        if entries:
            rows, codes, texts = zip(*entries, strict=True)
            self._add(np.array(rows), np.array(codes, np.int32), pa.array(texts, pa.string()))

    def _add_array(self, array: pa.Array, name: str, mask: kernels.Mask) -> None:
        rows = np.flatnonzero(mask)
        chosen = array if len(rows) == len(array) else array.filter(pa.array(mask))
        self._add(rows, np.full(len(rows), self._code(name), np.int32), self._text(chosen, name))

    def _text(self, array: pa.Array, name: str) -> pa.Array:
        if self._fields.kind(name) == "float":
            return pa.array([self._fields.kept(name, value) for value in array.to_pylist()])
        return array.cast(pa.string())

    def _add_nested(self, frame: Frame, name: str, mask: kernels.Mask) -> None:
        code = self._code(name)
        kept = self._fields.kept
        values = frame.nested[name].items()
        self._add_entries([(row, code, kept(name, v)) for row, v in values if mask[row]])

    def add_row(self, row: int, extra: Mapping[str, str]) -> None:
        """Add the entries of one row."""
        self._add_entries([(row, self._code(name), text) for name, text in extra.items()])

    def _code(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def _add(self, rows: Any, names: Any, texts: pa.Array) -> None:
        self._rows.append(rows)
        self._names.append(names)
        self._texts.append(texts)

    def finish(self, length: int) -> pa.Array | None:
        """Return the column for so many rows; None if there is nothing in it."""
        if not self._rows:
            return None
        rows = np.concatenate(self._rows)
        order = np.argsort(rows, kind="stable")
        counts = np.bincount(rows, minlength=length)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        names = pa.array(list(self._codes), pa.string()).take(
            pa.array(np.concatenate(self._names)[order])
        )
        texts = pa.concat_arrays(self._texts).take(pa.array(order))
        return pa.MapArray.from_arrays(pa.array(offsets), names, texts)
