from __future__ import annotations

import msgspec

from deodar.siem.collector.board import Board
from deodar.siem.collector.tally import DestinationReport
from deodar.siem.pipeline.counts import PipelineReport, RuleReport, StageCounts
from deodar.siem.services.host.measures import measure, partitions


def report(**changes):
    return msgspec.structs.replace(Board("c", 1).report(), **changes)


def test_what_destinations_refused_or_lost_is_lost(tmp_path):
    ones = (
        DestinationReport("a", "http", refused=1, lost_size=2, lost_age=4),
        DestinationReport("b", "file", refused=8),
    )
    assert measure(report(destinations=ones), tmp_path, 3).lost == 15
    assert measure(report(destinations=ones), tmp_path, 3).log_errors == 3


def test_a_journal_counts_as_buffer_only_while_it_holds_something_back(tmp_path):
    assert measure(report(journal_bytes=500, waiting=1), tmp_path, 0).buffer_bytes == 0
    assert measure(report(journal_bytes=500, waiting=9), tmp_path, 0).buffer_bytes == 500
    behind = (DestinationReport("a", "http", waiting=9),)
    assert measure(report(journal_bytes=5, destinations=behind), tmp_path, 0).buffer_bytes == 5


def test_what_enrichment_could_not_do_is_counted(tmp_path):
    counts = Board("c", 1).counts
    counts.stages = StageCounts(enrichment_errors=3)
    rules = PipelineReport((RuleReport("dns", {"skipped": 4, "paused": 5, "found": 9}),))
    found = measure(report(counts=counts, pipeline=rules), tmp_path, 0)
    assert (found.enrichment_errors, found.enrichment_queue) == (3, 9)


def test_a_collector_that_does_not_run_has_disks_all_the_same(tmp_path):
    found = measure(None, tmp_path, 2)
    assert (found.log_errors, bool(found.partitions)) == (2, True)


def test_the_folders_file_system_is_told_from_the_others(tmp_path):
    found = partitions(tmp_path)
    assert [one.path for one in found if one.state] == [str(tmp_path)]
    assert all(0 <= one.free <= one.total for one in found)
    assert len(found) == len({one.path for one in found})
    assert partitions(tmp_path / "absent")
