"""Events that came before: counted, and stored all the same.

What identifies an event of an EDR server is its own id, ``ExternalID`` once normalized. The last
ones are remembered, so an event that comes again soon is counted, and one that comes again after
hundreds of thousands of others, or after a restart, is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 50_000
COLUMN = "ExternalID"


class Repeats:
    """Remembers between `most` and twice as many events."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def count(self, events: pa.RecordBatch) -> int:
        """Return how many events of a batch came before, in it or before it; remembers them."""
        if COLUMN not in events.schema.names:
            return 0
        ids = [hash(one) for one in events.column(COLUMN).to_pylist() if one]
        fresh = set(ids)
        repeated = len(ids) - len(fresh)
        if not (fresh.isdisjoint(self._recent) and fresh.isdisjoint(self._older)):
            repeated += len(fresh & (self._recent | self._older))
        self._recent |= fresh
        if len(self._recent) >= self._most:
            self._older, self._recent = self._recent, set()
        return repeated
