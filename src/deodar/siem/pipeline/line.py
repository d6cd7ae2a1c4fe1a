"""The stages that normalized events pass before they leave: filter, enrich, aggregate.

The order is fixed. Filters come first, so that nothing is done for events that are dropped, and
aggregation last, so that it can group by what enrichment added and what leaves is final. A stage
that is not used costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deodar.siem.pipeline.counts import PipelineReport, StageCounts
from deodar.siem.pipeline.dictionaries import NO_DICTIONARIES
from deodar.siem.pipeline.frame import EventFrame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from deodar.kit.journal import Record
    from deodar.siem.pipeline.aggregation.stage import Aggregated, Aggregation
    from deodar.siem.pipeline.enrichment.rule import Rule
    from deodar.siem.pipeline.filters.filter import Filter
    from deodar.siem.pipeline.filters.operators import Tables


@dataclass(frozen=True)
class Gate:
    """A filter of the collector by name; with `invert` it keeps back what meets it."""

    name: str
    condition: Filter
    invert: bool = False


@dataclass(frozen=True)
class Passed:
    """What left the pipeline: the events, None if there are none, and what was counted.

    `added` are events that came out of aggregation, without the columns that a collector gives to
    every event.
    """

    events: pa.RecordBatch | None
    counts: StageCounts
    added: pa.RecordBatch | None = None


class Line:
    """The stages of one collector."""

    def __init__(
        self,
        gates: Sequence[Gate] = (),
        rules: Sequence[Rule] = (),
        tables: Tables = NO_DICTIONARIES.tables,
        aggregation: Aggregation | None = None,
    ) -> None:
        """`tables` are the dictionaries, kept for the filters of destinations."""
        self.tables = tables
        self.aggregation = aggregation
        self._gates = tuple(gates)
        self.rules = tuple(rules)

    @property
    def is_idle(self) -> bool:
        """Whether no stage is used."""
        return not (self._gates or self.rules or self.aggregation)

    def missed(self, number: int) -> Iterator[Record]:
        """Yield the records of the journal that must pass before that of this number."""
        return iter(()) if self.aggregation is None else self.aggregation.missed(number)

    def run(
        self,
        events: pa.RecordBatch,
        rows: Sequence[int],
        number: int,
        now: int,
        *,
        aggregate: bool = True,
    ) -> Passed:
        """Return what becomes of the events of a record of the journal, fetched at `now` (µs).

        `rows` are the events' places in their answer. Without `aggregate` they pass by that stage,
        for they were counted there before. Raises JournalError when aggregation cannot be made
        durable; then it is to be tried again.
        """
        if self.is_idle:
            return Passed(events if events.num_rows else None, StageCounts())
        frame = self._filtered(EventFrame(events, rows))
        filtered = events.num_rows - len(frame)
        enriched, errors = self._enriched(frame)
        counts = StageCounts(filtered=filtered, enriched=enriched, enrichment_errors=errors)
        if self.aggregation is not None and aggregate:
            return _passed(self.aggregation.run(frame, number, now), counts)
        return Passed(frame.batch() if len(frame) else None, counts)

    def _filtered(self, frame: EventFrame) -> EventFrame:
        for gate in self._gates:
            mask = gate.condition.mask(frame)
            if mask is not None and len(frame):
                frame = frame.keep(~mask if gate.invert else mask)
        return frame

    def _enriched(self, frame: EventFrame) -> tuple[int, int]:
        written, errors = np.zeros(len(frame), bool), 0
        for rule in self.rules if len(frame) else ():
            changed, failed = rule.apply(frame)
            written |= changed
            errors += failed
        return int(written.sum()), errors

    def report(self) -> PipelineReport:
        """Return the state of the stages."""
        windows = 0 if self.aggregation is None else self.aggregation.windows
        return PipelineReport(tuple(rule.report() for rule in self.rules), windows)

    def close(self) -> None:
        """Let go of what the rules hold."""
        for rule in self.rules:
            rule.enricher.close()
        if self.aggregation is not None:
            self.aggregation.close()


def _passed(done: Aggregated, counts: StageCounts) -> Passed:
    out = 0 if done.out is None else done.out.num_rows
    counts += StageCounts(aggregated_in=done.taken, aggregated_out=out, aggregated_early=done.early)
    return Passed(done.frame.batch() if len(done.frame) else None, counts, done.out)
