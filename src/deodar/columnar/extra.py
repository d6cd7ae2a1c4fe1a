"""The ``Extra`` column: for each row a map from field to text, made without a loop over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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

    def add_frame(self, frame: Frame, unread: Mapping[str, Collection[str]]) -> None:
        """Add what the frame keeps, the fields that no rule reads, and those that no layout has."""
        for name, mask in frame.kept(unread):
            if name in frame.nested:
                self._add_nested(frame, name, mask)
            else:
                self._add_array(frame.arrays[name], name, mask)
        places = frame.places
        for place, rest in frame.rest.items():
            row = int(np.searchsorted(places, place))
            if row < len(places) and places[row] == place:
                self.add_row(row, rest)

    def _add_array(self, array: pa.Array, name: str, mask: kernels.Mask) -> None:
        rows = np.flatnonzero(mask)
        chosen = array if len(rows) == len(array) else array.filter(pa.array(mask))
        self._add(rows, np.full(len(rows), self._code(name), np.int32), self._text(chosen, name))

    def _text(self, array: pa.Array, name: str) -> pa.Array:
        if self._fields.kind(name) == "float":
            return pa.array([self._fields.kept(name, value) for value in array.to_pylist()])
        return array.cast(pa.string())

    def _add_nested(self, frame: Frame, name: str, mask: kernels.Mask) -> None:
        for row, value in frame.nested[name].items():
            if mask[row]:
                self.add_row(row, {name: self._fields.kept(name, value)})

    def add_row(self, row: int, extra: Mapping[str, str]) -> None:
        """Add the entries of one row."""
        if extra:
            codes = np.array([self._code(name) for name in extra], np.int32)
            texts = pa.array(extra.values(), pa.string())
            self._add(np.full(len(extra), row), codes, texts)

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
