"""Parts of the log as they are served: events' texts, joined, and how far they reach."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

Joined = bytes | memoryview
"""Texts that were joined; a view when they are in memory of the store's result."""


@dataclass(frozen=True)
class Slice:
    """Events of one read: JSON texts joined by commas, how many, and the last number scanned.

    `cut` tells that there are more, which did not fit into the bytes that were asked for.
    """

    joined: Joined
    count: int
    scanned: int
    cut: bool


def join(texts: pa.Array) -> Joined:
    """Return the texts joined by commas, in one pass."""
    if len(texts) == 0:
        return b""
    whole = pc.cast(texts, pa.binary())
    one = pa.ListArray.from_arrays(pa.array([0, len(whole)], pa.int32()), whole)
    return memoryview(pc.binary_join(one, b",")[0].as_buffer())
