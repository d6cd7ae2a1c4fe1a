"""Each condition begins where its threshold says, and is over when what made it is."""

from __future__ import annotations

import pytest

from deodar.siem.services.conditions import CONDITIONS, History, Sample, judge
from deodar.siem.services.settings import AlertSettings
from deodar.siem.services.wire import Measures, Partition

SETTINGS = AlertSettings()


def partition(percent: float, *, state: bool) -> Measures:
    return Measures(partitions=(Partition("/x", percent * 1e9, 100e9, state),))


HOLDS = {
    "QPS threshold reached": (Measures(), Measures(searches=60 * 50)),
    "Failed Insert QPS threshold reached": (Measures(), Measures(failed_inserts=3)),
    "High distribution queue": (Measures(), Measures(distribution_queue=100)),
    "Low disk space": (partition(10, state=True), partition(9.9, state=True)),
    "Low disk partition space": (partition(5, state=False), partition(4.9, state=False)),
    "Output Event Loss increasing": (Measures(lost=5), Measures(lost=6)),
    "Disk buffer size increasing": (Measures(buffer_bytes=1e6), Measures(buffer_bytes=100e6)),
    "Enrichment errors increasing": (Measures(), Measures(enrichment_errors=1)),
    "High enrichment queue": (Measures(), Measures(enrichment_queue=1000)),
    "Connector log errors increasing": (Measures(log_errors=7), Measures(log_errors=8)),
}
"""Each condition with a measure that is all right, and one a window later that is not."""


def history(*measures: Measures, boot: str = "a", step: float = 60.0) -> History:
    found = History(SETTINGS.window_seconds)
    for number, one in enumerate(measures):
        found.add(Sample(number * step, boot, one))
    return found


def names(of: History) -> list[str]:
    return [name for name, _seen in judge(of, SETTINGS)]


def test_there_are_the_ten_that_are_known():
    assert [condition.name for condition in CONDITIONS] == list(HOLDS)
    fields = set(AlertSettings.__struct_fields__)
    assert {condition.threshold for condition in CONDITIONS} == fields - {"window_seconds"}


@pytest.mark.parametrize("name", HOLDS)
def test_it_begins_and_is_over(name):
    good, bad = HOLDS[name]
    assert names(history(good, good)) == []
    assert names(history(good, bad)) == [name]
    over = history(good, bad, bad if name.endswith(("increasing", "reached")) else good)
    assert names(over) == []


@pytest.mark.parametrize("name", [one for one in HOLDS if "increasing" in one or "QPS" in one])
def test_a_first_report_and_a_new_process_are_no_increase(name):
    _good, bad = HOLDS[name]
    assert names(history(bad)) == []
    restarted = history(bad)
    restarted.add(Sample(60.0, "b", Measures()))
    restarted.add(Sample(65.0, "b", Measures()))
    assert names(restarted) == []


def test_what_was_seen_is_told_in_figures():
    _good, bad = HOLDS["Low disk space"]
    assert list(judge(history(bad), SETTINGS)) == [("Low disk space", "/x has 9.9 % free (9.2 GB)")]


def test_what_is_kept_is_bounded():
    found = History(150.0)
    for number in range(5_000):
        found.add(Sample(number * 0.01, "a", Measures(lost=number)))
    assert found.span <= 150.0
    assert len(found._samples) <= 512
