"""Reading the log in its order, for external systems.

The events come out of the store as text that is joined, never decoded. Each query covers a bounded
range of sequence numbers, so that a filter which matches nothing in millions of events still
comes back in time and says how far it got.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from deodar.edr.log.lineage import epoch_rows
from deodar.edr.log.schema import TABLE
from deodar.edr.log.slices import Slice, join
from deodar.edr.log.voids import NONE
from deodar.store.engine import Limits
from deodar.store.errors import QueryLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from deodar.edr.log.voids import Voids
    from deodar.kedrql import Sql
    from deodar.store.engine import Engine

SCAN = 200_000
_SECONDS = 60.0
_SLACK = 4
_BACKUP_ROWS = 50_000
_BACKUP_BYTES = 256 << 20


@dataclass(frozen=True)
class _Range:
    """Numbers above `after` up to `last`, of which at most `limit` events are wanted."""

    after: int
    last: int
    limit: int

    def smaller(self) -> _Range:
        span = max(1, (self.last - self.after) // 8)
        return _Range(self.after, self.after + span, max(1, self.limit // 8))


class _Found(NamedTuple):
    rows: pa.Table
    range: _Range


class Reader:
    """Reads a log's table through a store engine; synchronous and thread-safe."""

    def __init__(self, engine: Engine, voids: Callable[[], Voids] = lambda: NONE) -> None:
        """`voids` returns the ranges of numbers that are passed over."""
        self._engine = engine
        self._voids = voids

    def read(self, after: int, upto: int, limit: int, max_bytes: int, where: Sql | None) -> Slice:
        """Return up to `limit` events with numbers above `after`, none above `upto`.

        It may stop early: after `max_bytes` of text (but not before the first event), or after
        scanning a bounded range. `Slice.scanned` is where to go on. Raises StoreError.
        """
        voids = self._voids()
        after = voids.skip(after)
        if after >= upto:
            return Slice(b"", 0, after, cut=False)
        span = limit if where is None else max(SCAN, limit)
        last = voids.next_after(after, min(upto, after + span))
        found = self._find(_Range(after, last, limit), max_bytes, where)
        texts = found.rows.column("raw")
        kept = _within(texts, max_bytes)
        scanned = found.range.last
        if kept < len(texts) or kept == found.range.limit:
            scanned = int(found.rows.column("seq")[kept - 1].as_py())
        return Slice(join(_whole(texts.slice(0, kept))), kept, scanned, kept < len(texts))

    def rows(self, after: int, upto: int) -> pa.Table:
        """Return some whole rows above `after`, none above `upto`, at least one if there is any.

        For backups, which keep every column. Raises StoreError.
        """
        query = (
            f"SELECT * FROM {TABLE} WHERE seq > {{after:UInt64}} AND seq <= {{last:UInt64}} "  # noqa: S608
            "ORDER BY seq LIMIT {limit:UInt64}"
        )
        after = self.next_after(after)
        upto = self._voids().next_after(after, upto)
        limit, limits = _BACKUP_ROWS, Limits(max_seconds=_SECONDS, max_bytes=_BACKUP_BYTES)
        while True:
            parameters = {"after": after, "last": upto, "limit": limit}
            try:
                return self._engine.query(query, parameters, limits=limits)
            except QueryLimit:
                limit = max(1, limit // 8)
                limits = Limits() if limit == 1 else limits

    def next_after(self, after: int) -> int:
        """Return the number behind which the next event may be that follows a number."""
        return self._voids().skip(after)

    def epochs(self) -> pa.Table:
        """Return the log's epochs as they are kept, for backups."""
        return epoch_rows(self._engine)

    def last_seq(self) -> int:
        """Return the highest number in the log, 0 when it is empty."""
        return self._number(f"SELECT max(seq) FROM {TABLE}", {})  # noqa: S608

    def first_seq(self) -> int:
        """Return the lowest number in the log, 0 when it is empty."""
        return self._number(f"SELECT min(seq) FROM {TABLE}", {})  # noqa: S608  # a constant

    def seq_before(self, received_us: int) -> int:
        """Return the last number that was received before a time (µs), 0 if none was."""
        query = f"SELECT max(seq) FROM {TABLE} WHERE received < {{t:Int64}}"  # noqa: S608
        return self._number(query, {"t": received_us})

    def received_after(self, seq: int) -> int | None:
        """Return when the first event after a number was received (µs), None if there is none."""
        rows = self._engine.query(
            f"SELECT received FROM {TABLE} WHERE seq > {{s:UInt64}} ORDER BY seq LIMIT 1",  # noqa: S608
            {"s": seq},
        )
        return int(rows.column(0)[0].as_py()) if rows.num_rows else None

    def _find(self, asked: _Range, max_bytes: int, where: Sql | None) -> _Found:
        """Query; when that is too much to hold or takes too long, ask for less, down to one."""
        condition = "" if where is None else f" AND ({where.text})"
        query = (
            f"SELECT seq, raw FROM {TABLE} WHERE seq > {{after:UInt64}} "  # noqa: S608
            f"AND seq <= {{last:UInt64}}{condition} ORDER BY seq LIMIT {{limit:UInt64}}"
        )
        parameters = dict(where.parameters) if where is not None else {}
        parameters |= {"after": asked.after, "last": asked.last, "limit": asked.limit}
        if asked.last - asked.after <= 1:
            return _Found(self._engine.query(query, parameters), asked)
        limits = Limits(max_seconds=_SECONDS, max_bytes=max_bytes * _SLACK)
        try:
            return _Found(self._engine.query(query, parameters, limits=limits), asked)
        except QueryLimit:
            return self._find(asked.smaller(), max_bytes, where)

    def _number(self, query: str, parameters: dict[str, int]) -> int:
        value = self._engine.query(query, parameters).column(0)[0].as_py()
        return int(value or 0)


def _within(texts: pa.ChunkedArray, max_bytes: int) -> int:
    """Return how many of the first texts fit into `max_bytes`, at least one."""
    if len(texts) == 0 or texts.nbytes <= max_bytes:
        return len(texts)
    ends = pc.cumulative_sum(pc.cast(pc.binary_length(texts), pa.int64()))
    return max(1, int(pc.sum(pc.less_equal(ends, max_bytes)).as_py() or 0))


def _whole(texts: pa.ChunkedArray) -> pa.Array:
    if texts.num_chunks == 1:
        return texts.chunk(0)
    return pa.concat_arrays([pa.array([], texts.type), *texts.chunks])
