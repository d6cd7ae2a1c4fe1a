"""Arrow kernels of the compiled program: emptiness, conversion, cutting, putting together.

Strings that are null or "" count as empty; a conversion runs once for each distinct value, with
the very function that the interpreter uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from deodar.columnar.values import FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Mask = NDArray[np.bool_]

STRING = pa.string()
ARROW: dict[str, Any] = {
    "string": STRING,
    "int64": pa.int64(),
    "float64": pa.float64(),
    "strings": pa.list_(STRING),
    "integer": pa.int64(),
    "float": pa.float64(),
}
"""The Arrow type of each column type and of each kind of source."""


def valid(array: pa.Array) -> Mask:
    """Return where an array is not null."""
    mask: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    return mask


def byte_lengths(array: pa.Array) -> NDArray[np.int32]:
    """Return the length of each text in bytes (of each list in elements); 0 where it is null."""
    lengths = _spans(array)
    # A null may have a length: what `if_else` makes of a null scalar does.
    return lengths if array.null_count == 0 else lengths * valid(array)


def _spans(array: pa.Array) -> NDArray[np.int32]:
    offsets = np.frombuffer(array.buffers()[1], np.int32)
    begin, end = array.offset, array.offset + len(array)
    spans: NDArray[np.int32] = offsets[begin + 1 : end + 1] - offsets[begin:end]
    return spans


def filled(array: pa.Array) -> Mask:
    """Return where an array of any column type has a value that is not empty."""
    if len(array) == 0:
        return np.zeros(0, bool)
    if pa.types.is_string(array.type) or pa.types.is_list(array.type):
        return np.asarray(byte_lengths(array) > 0)
    return valid(array)


def convert(
    array: pa.Array, function: Callable[[Any], Any], column_type: str
) -> tuple[pa.Array, Mask | None]:
    """Return what a conversion makes of the filled values, and where it failed, if it did."""
    if pa.types.is_list(array.type):
        return _converted([None if not v else function(v) for v in array.to_pylist()], column_type)
    encoded = array.dictionary_encode()
    distinct = [
        None if v is None or v == "" else function(v) for v in encoded.dictionary.to_pylist()
    ]
    result, failed = _converted(distinct, column_type)
    result = result.take(encoded.indices)
    if failed is None:
        return result, None
    spread = pa.array(failed).take(encoded.indices).fill_null(False)
    return result, spread.to_numpy(zero_copy_only=False)


def _converted(values: Sequence[Any], column_type: str) -> tuple[pa.Array, Mask | None]:
    failed = np.fromiter((v is FAILED for v in values), bool, len(values))
    if not failed.any():
        return pa.array(values, ARROW[column_type]), None
    good = [None if v is FAILED else v for v in values]
    return pa.array(good, ARROW[column_type]), failed


def floor_divide(array: pa.Array, by: int) -> pa.Array:
    """Return integers divided and rounded down; null stays null."""
    values = array.fill_null(0).to_numpy() // by
    if array.null_count == 0:
        return pa.array(values)
    return pa.array(values, mask=~filled(array))


def cut(array: pa.Array, limit: int) -> tuple[pa.Array, Mask | None]:
    """Return texts of at most `limit` characters, and where something was cut off, if anywhere."""
    if len(array) == 0 or int(_spans(array).max()) <= limit:
        return array, None
    long: Mask = (
        pc.greater(pc.utf8_length(array), limit).fill_null(False).to_numpy(zero_copy_only=False)
    )
    if not long.any():
        return array, None
    return pc.utf8_slice_codeunits(array, 0, limit), long


def choose(mask: Mask, chosen: pa.Array, other: pa.Array) -> pa.Array:
    """Return `chosen` where the mask is true, else `other`."""
    return pc.if_else(pa.array(mask), chosen, other)


def by_code(values: Sequence[Any], codes: NDArray[Any], arrow_type: Any) -> pa.Array:
    """Return for each row the value at its code; a None at the code gives null."""
    if len(set(values)) == 1 and values[0] is not None:
        return pa.repeat(pa.scalar(values[0], arrow_type), len(codes))
    return pa.array(values, arrow_type).take(pa.array(codes))


def finish(array: pa.Array, *, nullable: bool) -> pa.Array:
    """Return the array as a column: no nulls in texts and lists, none in numbers unless allowed."""
    if array.null_count == 0:
        return array
    if pa.types.is_string(array.type):
        return array.fill_null("")
    if pa.types.is_list(array.type):
        empty = pa.scalar([], array.type)
        return pc.if_else(array.is_valid(), array, empty)
    return array if nullable else array.fill_null(0)


def empties(column_type: str, length: int, *, nullable: bool) -> pa.Array:
    """Return a column of empty values."""
    return finish(pa.nulls(length, ARROW[column_type]), nullable=nullable)
