from __future__ import annotations

import pyarrow as pa

from deodar.siem.collector.repeats import Repeats


def batch(*ids):
    return pa.RecordBatch.from_pydict({"ExternalID": list(ids)})


def test_an_event_that_came_before_is_counted():
    repeats = Repeats()
    assert repeats.count(batch("a", "b")) == 0
    assert repeats.count(batch("b", "c", "c")) == 2
    assert repeats.count(batch("d")) == 0


def test_events_without_an_id_are_no_repeats_of_each_other():
    repeats = Repeats()
    assert repeats.count(batch("", None, "")) == 0
    assert repeats.count(pa.RecordBatch.from_pydict({"Name": ["a", "a"]})) == 0


def test_what_came_long_ago_is_forgotten_and_memory_is_bounded():
    repeats = Repeats(most=10)
    repeats.count(batch("first"))
    for number in range(10):
        repeats.count(batch(*(f"{number}-{i}" for i in range(10))))
    assert repeats.count(batch("first")) == 0
    assert repeats.count(batch("9-3")) == 1
    assert len(repeats._recent) + len(repeats._older) <= 30
