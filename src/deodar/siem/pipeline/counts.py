"""What became of the events of one record in the pipeline, and of all since the collector began."""

from __future__ import annotations

import msgspec


class StageCounts(msgspec.Struct, frozen=True):
    """Events by stage. `filtered` were dropped by the collector's filters.

    `enriched` got at least one field from a rule; `enrichment_errors` counts the times that a rule
    found no answer in time, or one that its field cannot hold. `aggregated_in` went into windows of
    aggregation instead of on; `aggregated_out` are the events that came out of such windows, of
    them `aggregated_early` before threshold and lifetime, because a bound was reached.
    """

    filtered: int = 0
    enriched: int = 0
    enrichment_errors: int = 0
    aggregated_in: int = 0
    aggregated_out: int = 0
    aggregated_early: int = 0

    def __add__(self, other: StageCounts) -> StageCounts:
        mine, its = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return StageCounts(*(a + b for a, b in zip(mine, its, strict=True)))


NOTHING = StageCounts()
"""For a record that no stage has seen."""


class RuleReport(msgspec.Struct, frozen=True):
    """What an enrichment rule did since the collector's start, by name of what was counted.

    `written` counts events, `errors` times that it failed; the others depend on the kind. A record
    that is prepared again for a destination that is behind is counted again.
    """

    name: str
    counts: dict[str, int]


class PipelineReport(msgspec.Struct, frozen=True):
    """The state of the stages: the enrichment rules, and how many aggregation windows are open."""

    rules: tuple[RuleReport, ...] = ()
    windows: int = 0
