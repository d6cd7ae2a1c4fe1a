"""What was taken from each source: the highest packet number that the log has of it.

The log's own columns tell. A first look goes over the whole log, each later one over what is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.edr.log.schema import TABLE

if TYPE_CHECKING:
    from deodar.edr.log.voids import Voids
    from deodar.store.engine import Engine

_QUERY = (
    f"SELECT toString(source) AS source, max(packet) AS packet FROM {TABLE} "  # noqa: S608
    "WHERE seq > {after:UInt64} AND seq <= {upto:UInt64} GROUP BY source"
)


class Ledger:
    """The highest numbers up to a place in the log. Used in one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.taken: dict[str, int] = {}
        self.upto = 0
        """The place in the log up to which it tells."""

    def read(self, upto: int, voids: Voids) -> dict[str, int]:
        """Take in what the log has up to a number, but for void ranges; returns `taken`.

        Raises StoreError.
        """
        while self.upto < upto:
            after = voids.skip(self.upto)
            last = voids.next_after(after, upto)
            if last > after:
                self._add(after, last)
            self.upto = max(after, last)
        return self.taken

    def _add(self, after: int, upto: int) -> None:
        rows = self._engine.query(_QUERY, {"after": after, "upto": upto})
        sources, numbers = (rows.column(name).to_pylist() for name in ("source", "packet"))
        for source, number in zip(map(_text, sources), numbers, strict=True):
            self.taken[source] = max(int(number), self.taken.get(source, 0))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
