from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests.siem.batches import batch
from tests.siem.pipeline.source import Source

from deodar.kit.journal import Journal
from deodar.siem.pipeline.counts import StageCounts
from deodar.siem.pipeline.line import Line
from deodar.siem.pipeline.settings import open_line, read


def line(tmp_path=None, source=None, **tables) -> Line:
    empty = {"filters": [], "enrichment": [], "aggregation": [], "dictionaries": []}
    settings = read(SimpleNamespace(**(empty | tables)), "here")
    return open_line(settings, tmp_path or Path("absent"), source, 1 << 20)


def passed(line, count=4, number=1, now=0):
    return line.run(batch(count).events, range(count), number, now)


def constant(**changes):
    return {"name": "c", "kind": "constant", "target": "DeviceAction", "constant": "x", **changes}


def test_without_stages_the_very_batch_goes_on():
    nothing = Line()
    events = batch(3).events
    assert nothing.is_idle
    assert nothing.run(events, range(3), 1, 0).events is events


def test_events_go_on_that_meet_all_filters_and_an_inverted_one_drops_what_meets_it():
    found = passed(
        line(
            filters=[
                {"name": "a", "code": "DestinationPort >= 1"},
                {"name": "b", "code": "DestinationPort = 3", "invert": True},
                {"name": "off", "code": "Name = 'other'", "enabled": False},
            ]
        )
    )
    assert found.events.column("ID").to_pylist() == ["id-1", "id-2"]
    assert found.counts == StageCounts(filtered=2)


def test_when_no_event_passes_there_is_no_batch():
    found = passed(line(filters=[{"name": "a", "code": "Name = 'other'"}], enrichment=[constant()]))
    assert found.events is None
    assert found.counts == StageCounts(filtered=4)


def test_filters_come_before_enrichment_and_rules_in_their_order():
    found = passed(
        line(
            filters=[{"name": "a", "code": "DeviceAction = ''"}],
            enrichment=[
                constant(),
                constant(target="Reason", constant="y", filter="DeviceAction = 'x'"),
                constant(target="Reason", constant="z", filter="DestinationPort = 2"),
            ],
        )
    )
    assert found.events.column("Reason").to_pylist() == ["y", "y", "z", "y"]
    assert found.counts == StageCounts(enriched=4)


def test_aggregation_comes_last_and_sees_what_enrichment_added(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        made = line(
            tmp_path,
            Source(journal),
            filters=[{"name": "f", "code": "DestinationPort != 0"}],
            enrichment=[constant(filter="DestinationPort < 3")],
            aggregation=[
                {"name": "a", "identical": ["DeviceAction"], "filter": "DeviceAction = 'x'"},
            ],
        )
        first = passed(made)
        assert first.events.column("ID").to_pylist() == ["id-3"]
        assert first.counts == StageCounts(filtered=1, enriched=2, aggregated_in=2)
        later = passed(made, count=0, number=2, now=60_000_000)
        assert later.events is None
        assert later.added.column("BaseEventCount").to_pylist() == [2]
        assert later.counts == StageCounts(aggregated_out=1)
        made.close()
