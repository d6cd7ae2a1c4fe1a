from __future__ import annotations

from deodar.siem.pipeline.counts import NOTHING, StageCounts


def test_counts_are_added_stage_by_stage():
    found = StageCounts(filtered=1, aggregated_in=5) + StageCounts(filtered=2, enriched=3) + NOTHING
    assert found == StageCounts(filtered=3, enriched=3, aggregated_in=5)
