from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from deodar.siem.collector.tally import Tally, add_metrics


def test_what_became_of_events_is_counted_by_outcome():
    tally = Tally("archive", "file")
    tally.delivered(10, 1000)
    tally.filtered(3)
    tally.refused(2, "too long")
    tally.lost(7, "size", "behind")
    tally.lost(1, "age", "behind")
    found = tally.report(waiting=4)
    assert (found.batches, found.events, found.bytes, found.filtered) == (1, 10, 1000, 3)
    assert (found.refused, found.lost_size, found.lost_age, found.waiting) == (2, 7, 1, 4)
    assert found.last_delivered_time > 0


def test_a_hindrance_is_shown_until_something_is_delivered():
    tally = Tally("archive", "file")
    tally.failed("busy", hinders=False)
    assert tally.report(0).colour == "green"
    tally.failed("no disk", hinders=True)
    found = tally.report(0)
    assert (found.colour, found.failures) == ("yellow", 2)
    assert "no disk" in found.reason
    tally.delivered(1, 1)
    assert tally.report(0).colour == "green"
    assert tally.report(0).last_error == "no disk"


def test_metrics_tell_each_destination_and_outcome():
    tally, registry = Tally("archive", "file"), CollectorRegistry()
    tally.delivered(10, 1000)
    tally.lost(7, "size", "behind")
    add_metrics(registry, (tally.report(waiting=4),))
    text = generate_latest(registry).decode()
    where = 'destination="archive",kind="file"'
    assert f'events_total{{{where},outcome="delivered"}} 10.0' in text
    assert f'events_total{{{where},outcome="lost_size"}} 7.0' in text
    assert f"waiting{{{where}}} 4.0" in text
