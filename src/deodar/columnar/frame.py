"""A decoded batch: its fields as Arrow arrays in the order of the input, and its event types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deodar.columnar import kernels
from deodar.columnar.spec import OTHER, Spec, head
from deodar.columnar.values import COERCE, is_empty, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from deodar.columnar.kernels import Mask

    Reads = Mapping[str, frozenset[int]]
    """Which path is read in the rows of which types (by code)."""


class Frame:
    """The fields of a batch. Rows are events that were decoded; ``refused`` has the other places.

    ``types`` are all types of the spec, ``codes`` has for each row the place of its type in there.
    A field that no row fills has no array.
    """

    def __init__(
        self,
        *,
        spec: Spec,
        places: list[int],
        arrays: dict[str, pa.Array],
        nested: dict[str, dict[int, Any]],
        rest: dict[int, dict[str, str]],
        refused: list[int],
    ) -> None:
        self.spec = spec
        self.places = np.array(places, dtype=np.int64)
        self.length = len(places)
        self.arrays = arrays
        self._names = {id(array): name for name, array in arrays.items()}
        self.nested = nested
        self.rest = rest
        self.refused = refused
        self.failed: Mask = np.zeros(self.length, bool)
        self.types = spec.all_types
        self.codes = self._codes()
        self._walked: dict[str, pa.Array] = {}
        self._filled: dict[str, Mask] = {}
        self._having: dict[str, frozenset[int]] = {}
        self._kept: dict[str, Mask] = {}

    def _codes(self) -> Any:
        given = self.arrays.get(self.spec.discriminator)
        if given is None:
            return np.full(self.length, self.types.index(OTHER), np.int32)
        encoded = given.fill_null("").dictionary_encode()
        places = {name: code for code, name in enumerate(self.types)}
        known = [places[self.spec.known(name)] for name in encoded.dictionary.to_pylist()]
        return np.array(known, np.int32)[encoded.indices.to_numpy()]

    def filled(self, name: str) -> Mask:
        """Return in which rows a field has a value."""
        found = self._filled.get(name)
        if found is None:
            if name in self.nested:
                found = np.zeros(self.length, bool)
                found[list(self.nested[name])] = True
            else:
                found = kernels.filled(self.arrays[name])
            self._filled[name] = found
        return found

    def mask(self, array: pa.Array) -> Mask:
        """Return where an array of the frame is filled; remembered for arrays of whole fields."""
        name = self._names.get(id(array))
        return kernels.filled(array) if name is None else self.filled(name)

    def having(self, name: str) -> frozenset[int]:
        """Return the types (by code) of the rows in which a field has a value."""
        found = self._having.get(name)
        if found is None:
            found = frozenset()
            if name in self.arrays or name in self.nested:
                counts = np.bincount(self.codes[self.filled(name)], minlength=len(self.types))
                found = frozenset(np.flatnonzero(counts).tolist())
            self._having[name] = found
        return found

    def rows_of(self, codes: Iterable[int]) -> Mask:
        """Return which rows are of these types."""
        table = np.zeros(len(self.types), bool)
        table[list(codes)] = True
        mask: Mask = table[self.codes]
        return mask

    def by_type(self, values: Mapping[int, Any], column_type: str) -> pa.Array:
        """Return for each row the value of its type, null where there is none."""
        table = [values.get(code) for code in range(len(self.types))]
        return kernels.by_code(table, self.codes, kernels.ARROW[column_type])

    def source(self, reads: Reads) -> pa.Array:
        """Return what the rows hold at the paths that are read in them; all are of one kind."""
        if len(reads) == 1:
            path, codes = next(iter(reads.items()))
            array = self._path(path)
            return array if self.having(head(path)) <= codes else self._only(array, codes)
        return pc.coalesce(*(self._exactly(path, codes) for path, codes in reads.items()))

    def _exactly(self, path: str, codes: frozenset[int]) -> pa.Array:
        """Return what a path holds, null in rows of other types, even where it holds "" there."""
        array = self._path(path)
        blanks = self.length - array.null_count - int(kernels.filled(array).sum())
        if blanks == 0 and self.having(head(path)) <= codes:
            return array
        return self._only(array, codes)

    def _only(self, array: pa.Array, codes: frozenset[int]) -> pa.Array:
        return kernels.choose(self.rows_of(codes), array, pa.scalar(None, array.type))

    def _path(self, path: str) -> pa.Array:
        return self._walk(path) if head(path) in self.nested else self.arrays[path]

    def _walk(self, path: str) -> pa.Array:
        found = self._walked.get(path)
        if found is None:
            kind = self.spec.kind(path)
            parts, coerce = path.split(".")[1:], COERCE[kind]
            values: list[Any] = [None] * self.length
            for row, value in self.nested[head(path)].items():
                values[row] = _found(value, parts, coerce)
            found = self._walked[path] = pa.array(values, kernels.ARROW[kind])
        return found

    def keep(self, reads: Reads, mask: Mask) -> None:
        """Note that where the mask is true the fields that are read there go to ``Extra``."""
        for path, codes in reads.items():
            if path != self.spec.discriminator:
                self._keep(head(path), mask & self.rows_of(codes))

    def _keep(self, name: str, mask: Mask) -> None:
        kept = self._kept.get(name)
        self._kept[name] = mask if kept is None else kept | mask

    def kept(self, unread: Sequence[Collection[str]]) -> Iterable[tuple[str, Mask]]:
        """Yield the fields that go to ``Extra`` and in which rows.

        Those are the ones that were noted, and the ones that ``unread`` has for a type's code.
        """
        for name in (*self.arrays, *self.nested):
            having = self.having(name)
            codes = {code for code in having if name in unread[code]}
            if codes:
                self._keep(name, self.filled(name) if codes == having else self.rows_of(codes))
            mask = self._kept.get(name)
            if mask is not None:
                mask = mask & self.filled(name)
                if mask.any():
                    yield name, mask


def _found(value: Any, parts: list[str], coerce: Callable[[Any], Any]) -> Any:
    found = walk(value, parts)
    return None if is_empty(found) else coerce(found)
