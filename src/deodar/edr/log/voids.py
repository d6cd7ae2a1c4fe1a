"""Ranges of sequence numbers that stand for nothing, whatever rows the store has under them.

Where several servers share a log, one of them at a time gives the numbers. When another one takes
that over, it begins behind a gap (`deodar.edr.nodes.position`), so that a block of the one before,
which was under way and comes into the store too late, falls into the gap. Nobody was told that such
a block is committed, and its packets come again from the stream: readers pass over the gap.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Void(NamedTuple):
    """The numbers above `after` up to `upto`."""

    after: int
    upto: int


class Voids:
    """Some ranges, which neither touch nor overlap; never changed."""

    def __init__(self, ranges: Iterable[Void] = ()) -> None:
        self._ranges = tuple(sorted(ranges))
        self._starts = [one.after for one in self._ranges]

    def __eq__(self, other: object) -> bool:
        """Whether both have the same ranges."""
        return isinstance(other, Voids) and self._ranges == other._ranges

    def __hash__(self) -> int:
        """Return what equal ones have in common."""
        return hash(self._ranges)

    def __iter__(self) -> Iterator[Void]:
        """Yield the ranges in their order."""
        return iter(self._ranges)

    def skip(self, after: int) -> int:
        """Return the number to go on behind: `after`, or the end of the range that follows it."""
        at = bisect_right(self._starts, after) - 1
        return max(after, self._ranges[at].upto) if at >= 0 else after

    def next_after(self, after: int, upto: int) -> int:
        """Return the last number up to `upto` before the next range that begins above `after`."""
        at = bisect_right(self._starts, after)
        return min(upto, self._starts[at]) if at < len(self._starts) else upto

    def before(self, upto: int) -> int:
        """Return the last number up to `upto` that is not at the end of a range."""
        at = bisect_right(self._starts, upto - 1) - 1
        return self._ranges[at].after if at >= 0 and self._ranges[at].upto >= upto else upto

    def within(self, after: int, upto: int) -> int:
        """Return how many of the numbers above `after` up to `upto` are in the ranges."""
        return sum(max(0, min(one.upto, upto) - max(one.after, after)) for one in self._ranges)


NONE = Voids()
