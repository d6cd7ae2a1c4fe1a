"""The newest events in memory, for the systems that follow the log.

What was committed just now is asked for by all of them, and by most within a moment. They get it
from here without a query: a block is joined once, and each answer is a view of that text. What is
not here any more comes from the store (`deodar.edr.log.reader`).
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from deodar.edr.log.slices import Slice, join

if TYPE_CHECKING:
    import pyarrow as pa

    from deodar.edr.log.slices import Joined

MOST_BYTES = 32 << 20
"""Bytes of events that are kept; what they are joined to may take as much again."""
MOST_BLOCKS = 256


class _Block:
    """Events with the numbers above `before`, one after another."""

    def __init__(self, before: int, raw: pa.Array) -> None:
        self.before = before
        self.last = before + len(raw)
        self._raw = raw
        self.size = int(raw.nbytes)

    @cached_property
    def _joined(self) -> tuple[Joined, Any]:
        """Return all texts joined by commas, and where in there each begins."""
        ends = np.frombuffer(self._raw.buffers()[1], np.int32)
        at = self._raw.offset
        begins = ends[at : at + len(self._raw) + 1].astype(np.int64)
        return join(self._raw), begins - begins[0] + np.arange(len(begins))

    def slice(self, after: int, upto: int, limit: int, max_bytes: int) -> Slice:
        """Return the events above `after`, at least one."""
        text, begins = self._joined
        first = after - self.before
        most = min(upto, self.last) - self.before
        fitting = int(np.searchsorted(begins, begins[first] + max_bytes + 1, "right")) - 1
        last = min(most, first + limit, max(fitting, first + 1))
        part = memoryview(text)[begins[first] : begins[last] - 1]
        return Slice(part, last - first, self.before + last, last < min(most, first + limit))


class Recent:
    """Some blocks in their order. Blocks are added in one thread, and read in any."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._blocks: tuple[_Block, ...] = ()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of the events that are here."""
        return self._size

    def add(self, before: int, raw: pa.Array) -> None:
        """Keep a block whose first number is `before` + 1; the oldest ones go."""
        blocks = (*self._blocks, _Block(before, raw))
        self._size += blocks[-1].size
        gone = 0
        while self._size > self._most_bytes or len(blocks) - gone > MOST_BLOCKS:
            self._size -= blocks[gone].size
            gone += 1
        self._blocks = blocks[gone:]

    def read(self, after: int, upto: int, limit: int, max_bytes: int) -> Slice | None:
        """Return events above `after` from one block, none above `upto`; None if not all are here.

        It may stop early, as `Reader.read` does.
        """
        blocks = self._blocks
        place = bisect_right(blocks, after, key=lambda block: block.before) - 1
        if place < 0 or not after < min(upto, blocks[place].last):
            return None
        return blocks[place].slice(after, upto, limit, max_bytes)
