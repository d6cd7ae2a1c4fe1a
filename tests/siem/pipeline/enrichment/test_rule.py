"""Rules on small batches: what is asked, what is written, what is counted as an error."""

from __future__ import annotations

from pathlib import Path

from tests.siem.pipeline.test_frame import frame

from deodar.columnar.values import FAILED
from deodar.siem.pipeline.counts import RuleReport
from deodar.siem.pipeline.dictionaries import NO_DICTIONARIES
from deodar.siem.pipeline.enrichment.base import Enricher, Surroundings
from deodar.siem.pipeline.enrichment.registry import open_rule, read
from deodar.siem.pipeline.enrichment.rule import Rule
from deodar.siem.pipeline.fields import field
from deodar.siem.pipeline.filters.filter import Filter


def enriched(kind, *, home=Path(), dictionaries=NO_DICTIONARIES, events=None, **settings):
    """Return the events after one rule, which of them were written to, and the errors."""
    (read_settings,) = read([{"name": "rule", "kind": kind, **settings}], "here")
    rule = open_rule(read_settings, Surroundings(home, dictionaries))
    events = events or frame()
    try:
        written, errors = rule.apply(events)
    finally:
        rule.enricher.close()
    return events, written, errors


def column(events, name):
    return events.read(field(name)).to_pylist()


class Table(Enricher):
    """Answers from a table, and notes what it was asked."""

    def __init__(self, reads, targets, table) -> None:
        super().__init__([field(name) for name in reads], [field(name) for name in targets])
        self.table = table
        self.asked: list[tuple] = []

    def answers(self, keys):
        self.asked += keys
        return [self.table.get(key) for key in keys]


def applied(table):
    events = frame()
    written, errors = Rule("rule", table, Filter(None, {})).apply(events)
    return events, written.tolist(), errors


def test_each_distinct_value_is_asked_once_and_no_answer_leaves_the_field():
    table = Table(["Extra.Depth"], ["Name", "DeviceCustomNumber1"], {("0",): ("zero", "5")})
    events, written, errors = applied(table)
    assert sorted(table.asked) == [("0",), ("1",), ("2",)]
    assert column(events, "Name") == ["zero", "Process | started", "Process | started", "zero"]
    assert column(events, "DeviceCustomNumber1") == [5, 0, 0, 5]
    assert (written, errors) == ([True, False, False, True], 0)


def test_what_failed_or_cannot_be_converted_is_counted_for_each_event_and_left():
    table = Table(["Extra.Depth"], ["DestinationPort"], {("0",): ("x",), ("1",): FAILED})
    events, written, errors = applied(table)
    assert column(events, "DestinationPort") == [0, 1, 2, 3]
    assert (written, errors) == ([False] * 4, 3)


def test_a_text_that_is_too_long_is_cut_and_counted():
    table = Table([], ["DeviceAction"], {(): ("x" * 64,)})
    events, written, errors = applied(table)
    assert column(events, "DeviceAction") == ["x" * 63] * 4
    assert (written, errors) == ([True] * 4, 4)


def test_nothing_is_asked_when_no_event_meets_the_filter():
    events, written, errors = enriched(
        "constant", target="Name", constant="x", filter="Name = 'other'"
    )
    assert column(events, "Name") == ["Process | started"] * 4
    assert (written.any(), errors) == (False, 0)


def test_a_rule_tells_what_it_did():
    table = Table(["Extra.Depth"], ["Name"], {("0",): ("zero",), ("1",): FAILED})
    rule = Rule("rule", table, Filter(None, {}))
    rule.apply(frame())
    rule.apply(frame())
    assert rule.report() == RuleReport("rule", {"written": 4, "errors": 2})
