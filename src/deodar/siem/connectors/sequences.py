"""A set of sequence numbers that mostly follow one another, kept as a few ranges."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_RANGES = 1000


class Sequences:
    """Numbers that were seen. Beyond a number of gaps the lowest ones are taken as seen too."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """Begin with ranges (first, last), rising and apart."""
        self._ranges = list(ranges)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The set as ranges (first, last)."""
        return list(self._ranges)

    def __contains__(self, number: int) -> bool:
        place = bisect.bisect_right(self._ranges, (number, number))
        for index in (place - 1, place):
            if 0 <= index < len(self._ranges):
                first, last = self._ranges[index]
                if first <= number <= last:
                    return True
        return False

    def add(self, number: int) -> None:
        """Add a number."""
        if number in self:
            return
        place = bisect.bisect_left(self._ranges, (number, number))
        first, last = number, number
        if place < len(self._ranges) and self._ranges[place][0] == number + 1:
            last = self._ranges.pop(place)[1]
        if place and self._ranges[place - 1][1] == number - 1:
            place -= 1
            first = self._ranges.pop(place)[0]
        self._ranges.insert(place, (first, last))
        while len(self._ranges) > MOST_RANGES:
            low, high = self._ranges.pop(0), self._ranges.pop(0)
            self._ranges.insert(0, (low[0], high[1]))
