"""A decoded batch: its fields as Arrow arrays in the order of the input, and which layout each row has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deodar.columnar import kernels
from deodar.columnar.spec import Spec, head
from deodar.columnar.values import COERCE, is_empty, walk

if TYPE_CHECKING:
    from deodar.columnar.kernels import Mask
    from deodar.columnar.layouts import Layout

Reads = Mapping[str, frozenset[int]]
"""Which path is read in the rows of which layouts (by code)."""


class Frame:
    """The fields of a batch. Rows are the events that were decoded; ``refused`` has the other places."""

    def __init__(
        self,
        *,
        spec: Spec,
        layouts: Sequence[Layout],
        places: list[int],
        codes: list[int],
        arrays: dict[str, pa.Array],
        nested: dict[str, list[Any]],
        rest: dict[int, dict[str, str]],
        refused: list[int],
    ) -> None:
        self.spec = spec
        self.layouts = layouts
        self.places = np.array(places, dtype=np.int64)
        self.codes = np.array(codes, dtype=np.int32)
        self.present: list[int] = sorted(set(codes))
        self.length = len(places)
        self.arrays = arrays
        self.nested = nested
        self.rest = rest
        self.refused = refused
        self.failed: Mask = np.zeros(self.length, bool)
        self._walked: dict[str, pa.Array] = {}
        self._kept: dict[str, Mask] = {}
        self._having: dict[str, frozenset[int]] = {}

    def having(self, name: str) -> frozenset[int]:
        """Return the codes of the layouts in this batch that have a field."""
        found = self._having.get(name)
        if found is None:
            found = frozenset(c for c in self.present if name in self.layouts[c].positions)
            self._having[name] = found
        return found

    def rows_of(self, codes: Iterable[int]) -> Mask:
        """Return which rows have one of these layouts."""
        table = np.zeros(len(self.layouts), bool)
        table[list(codes)] = True
        mask: Mask = table[self.codes]
        return mask

    def by_layout(self, values: Mapping[int, Any], column_type: str) -> pa.Array:
        """Return for each row the value of its layout, null where there is none."""
        table = [values.get(code) for code in range(len(self.layouts))]
        return kernels.by_code(table, self.codes, kernels.ARROW[column_type])

    def source(self, reads: Reads) -> pa.Array | None:
        """Return what the rows hold at the paths that are read in them; None if no row holds any."""
        arrays = [self._path(path, codes) for path, codes in reads.items()]
        return pc.coalesce(*arrays) if len(arrays) > 1 else arrays[0]

    def _path(self, path: str, codes: frozenset[int]) -> pa.Array:
        if path == self.spec.discriminator:
            return self.by_layout({c: self.layouts[c].given for c in codes}, "string")
        array = self._walk(path) if head(path) in self.nested else self.arrays[path]
        if codes == self.having(head(path)):
            return array
        return kernels.choose(self.rows_of(codes), array, pa.scalar(None, array.type))

    def _walk(self, path: str) -> pa.Array:
        found = self._walked.get(path)
        if found is None:
            kind = self.spec.kind(path)
            parts, coerce = path.split(".")[1:], COERCE[kind]
            values = [None if v is None else _found(v, parts, coerce) for v in self.nested[head(path)]]
            found = self._walked[path] = pa.array(values, kernels.ARROW[kind])
        return found

    def keep(self, reads: Reads, mask: Mask) -> None:
        """Note that where the mask is true the fields that are read there go to ``Extra``."""
        for path, codes in reads.items():
            if path != self.spec.discriminator:
                name = head(path)
                kept = self._kept.get(name)
                new = mask & self.rows_of(codes)
                self._kept[name] = new if kept is None else kept | new

    def kept(self, unread: Mapping[str, Collection[str]]) -> Iterable[tuple[str, Mask]]:
        """Yield the fields that go to ``Extra`` and in which rows.

        Those are the ones that were noted, and the ones that ``unread`` names for the (canonical) event type.
        """
        for name in (*self.arrays, *self.nested):
            codes = [c for c in self.having(name) if name in unread[self.layouts[c].canonical]]
            mask = self._kept.get(name)
            if codes:
                whole = self.rows_of(codes)
                mask = whole if mask is None else mask | whole
            if mask is not None and mask.any():
                yield name, mask


def _found(value: Any, parts: list[str], coerce: Callable[[Any], Any]) -> Any:
    found = walk(value, parts)
    return None if is_empty(found) else coerce(found)
