"""A compiled spec: batches of JSON events in, Arrow record batches and dead letters out.

The way of a batch: msgspec structs by event type, their fields as columns, one Arrow array for
each lane of each column, a conversion for each distinct value. An event that does not fit its
struct goes to the interpreter, and what that refuses becomes a dead letter. Nothing is raised for
bad events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from deodar.columnar import kernels
from deodar.columnar.dead_letters import DeadLetter
from deodar.columnar.decoding import Buffer, EventDecoder
from deodar.columnar.errors import Refused
from deodar.columnar.extra import ExtraBuilder
from deodar.columnar.fields import Fields
from deodar.columnar.interpreter import Interpreter, Row
from deodar.columnar.lanes import Lane, lanes
from deodar.columnar.raw import raw_texts
from deodar.columnar.spec import EXTRA, RAW, Column, Spec, check, head
from deodar.columnar.steps import Divide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deodar.columnar.frame import Frame, Reads


@dataclass(frozen=True)
class Outcome:
    """What a batch became.

    ``rows`` gives for each row of ``batch`` the index of its event in the input, rising.
    ``tolerated`` counts the rows that the interpreter made, ``misfits`` those with a field that
    did not fit its column.
    """

    batch: pa.RecordBatch
    rows: list[int]
    dead: list[DeadLetter] = field(default_factory=list)
    tolerated: int = 0
    misfits: int = 0


def compile(spec: Spec) -> Program:  # noqa: A001  (as in re.compile)
    """Return the program of a spec; raise SpecError if the spec contradicts itself."""
    check(spec)
    return Program(spec)


class Program:
    """A spec made ready for batches. It keeps no state between batches."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._fields = Fields(spec)
        self._interpreter = Interpreter(spec)
        self._decoder = EventDecoder(spec, self._fields)
        self._lanes = [(column, lanes(spec, column)) for column in spec.columns]
        self._unread = self._fields.unread(spec)

    def run(self, events: Sequence[Buffer]) -> Outcome:
        """Return the rows and the dead letters of a batch; the order of the events is kept."""
        frame = self._decoder.decode(events)
        tolerated, places, dead = self._tolerate(events, frame.refused)
        columns = self._columns(frame, tolerated)
        order = np.concatenate([frame.places, np.array(places, dtype=np.int64)])
        if self.spec.extra:
            columns[EXTRA] = self._extra(frame, tolerated)
        noted = np.array([bool(row.notes) for row in tolerated], bool)
        misfits = np.concatenate([frame.failed, noted])
        columns[RAW] = raw_texts(self.spec, events, order, misfits)
        filled = {name: column for name, column in columns.items() if column is not None}
        batch, rows = _in_order(filled or self._nothing(len(order)), order)
        return Outcome(batch, rows, dead, len(tolerated), int(misfits.sum()))

    def _nothing(self, length: int) -> dict[str, pa.Array]:
        """Return a first column of empty values, for a batch without columns has no rows."""
        first = self.spec.columns[0]
        return {first.target: kernels.empties(first.type, length, nullable=first.nullable)}

    def _tolerate(
        self, events: Sequence[Buffer], places: list[int]
    ) -> tuple[list[Row], list[int], list[DeadLetter]]:
        rows: list[Row] = []
        kept: list[int] = []
        dead: list[DeadLetter] = []
        for place in places:
            raw = bytes(events[place])
            try:
                rows.append(self._interpreter.row(raw))
                kept.append(place)
            except Refused as refused:
                dead.append(DeadLetter(refused.reason, refused.path, place, raw))
        return rows, kept, dead

    def _columns(self, frame: Frame, tolerated: list[Row]) -> dict[str, pa.Array | None]:
        columns: dict[str, pa.Array | None] = {}
        for column, its_lanes in self._lanes:
            made = _ColumnRun(frame, column)
            for lane in its_lanes:
                made.follow(lane)
            nullable = column.nullable
            columns[column.target] = _joined(
                made.values, column.target, column.type, frame.length, tolerated, nullable=nullable
            )
            if column.label_target:
                columns[column.label_target] = _joined(
                    made.labels, column.label_target, "string", frame.length, tolerated
                )
        return columns

    def _extra(self, frame: Frame, tolerated: list[Row]) -> pa.Array | None:
        builder = ExtraBuilder(self._fields)
        builder.add_frame(frame, self._unread)
        for index, row in enumerate(tolerated, frame.length):
            builder.add_row(index, row.extra)
        return builder.finish(frame.length + len(tolerated))


class _ColumnRun:
    """One column of one batch, filled lane by lane."""

    def __init__(self, frame: Frame, column: Column) -> None:
        self._frame = frame
        self._column = column
        self._won: kernels.Mask | None = None
        self._new: kernels.Mask = np.zeros(0, bool)
        self.values: pa.Array | None = None
        self.labels: pa.Array | None = None

    def follow(self, lane: Lane) -> None:
        """Put the lane's values where the column is still empty."""
        frame = self._frame
        reads = {
            path: codes
            for path, codes in lane.reads.items()
            if not codes.isdisjoint(frame.having(head(path)))
        }
        if lane.kind is None:
            source = frame.by_type(lane.constants, self._column.type)
        elif reads:
            source = frame.source(reads)
        else:
            return
        given = frame.mask(source)
        if given.any():
            self._take(lane, reads, source, given)
            self._label(lane.labels)

    def _take(self, lane: Lane, reads: Reads, source: pa.Array, given: kernels.Mask) -> None:
        frame, before = self._frame, self._won
        if before is not None and lane.losers:
            frame.keep(self._losing(lane, reads), given & before)
        values, failed = self._convert(lane, source)
        values, long = self._cut(values)
        self._new = self._merge(values, given if values is source else kernels.filled(values))
        if failed is not None:
            missed = failed if before is None else failed & ~before
            frame.keep(reads, missed)
            frame.failed |= missed
        if long is not None:
            frame.keep(reads, long & self._new)

    def _convert(self, lane: Lane, source: pa.Array) -> tuple[pa.Array, kernels.Mask | None]:
        column_type = self._column.type
        if lane.is_plain and source.type == kernels.ARROW[column_type]:
            return source, None
        step = lane.steps[0] if len(lane.steps) == 1 else None
        if isinstance(step, Divide) and lane.kind == "integer" and column_type == "int64":
            return kernels.floor_divide(source, step.by), None
        return kernels.convert(source, lane.convert, column_type)

    def _cut(self, values: pa.Array) -> tuple[pa.Array, kernels.Mask | None]:
        limit = self._column.max_length
        return (values, None) if limit is None else kernels.cut(values, limit)

    def _losing(self, lane: Lane, reads: Reads) -> Reads:
        return {path: codes & lane.losers for path, codes in reads.items()}

    def _merge(self, values: pa.Array, got: kernels.Mask) -> kernels.Mask:
        """Take the values that find their place empty; return which ones those are."""
        if self._won is None or self.values is None:
            self.values, self._won = values, got
            return got
        new = got & ~self._won
        self.values = kernels.choose(new, values, self.values)
        self._won = self._won | new
        return new

    def _label(self, labels: Mapping[int, str]) -> None:
        if not labels or not self._new.any():
            return
        texts = self._frame.by_type(labels, "string")
        if self.labels is None and self._new.all():
            self.labels = texts
        else:
            other = self.labels if self.labels is not None else pa.scalar("", kernels.STRING)
            self.labels = kernels.choose(self._new, texts, other)


def _joined(
    made: pa.Array | None,
    name: str,
    column_type: str,
    length: int,
    tolerated: list[Row],
    *,
    nullable: bool = False,
) -> pa.Array | None:
    """Return a column with the interpreter's rows put after the frame's; None if all is empty."""
    given = any(name in row.values for row in tolerated)
    if made is None and not given:
        return None
    if made is None:
        made = kernels.empties(column_type, length, nullable=nullable)
    if tolerated:
        last = pa.array([row.values.get(name) for row in tolerated], kernels.ARROW[column_type])
        made = pa.concat_arrays([made, last])
    return kernels.finish(made, nullable=nullable)


def _in_order(columns: dict[str, Any], order: Any) -> tuple[pa.RecordBatch, list[int]]:
    """Return the batch and the places of its rows, in the order of the input."""
    batch = pa.RecordBatch.from_pydict(columns)
    if len(order) == 0 or bool((order[1:] > order[:-1]).all()):
        return batch, order.tolist()
    sorting = np.argsort(order)
    return batch.take(pa.array(sorting)), order[sorting].tolist()
