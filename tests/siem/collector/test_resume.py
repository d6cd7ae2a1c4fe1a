from __future__ import annotations

import pytest

from deodar.kit.directory import StateDirectory
from deodar.siem.collector.record import RecordHeader, encode
from deodar.siem.collector.resume import resume
from deodar.siem.collector.streams import Streams


@pytest.fixture
def streams(tmp_path):
    return Streams(StateDirectory(tmp_path))


def header(source="a", token="t1", since_us=0):
    kind = "reset" if token is None else "answer"
    return encode(RecordHeader(kind, source, None, token, "", 1, since_us=since_us))


def test_it_goes_on_behind_the_last_record(streams):
    found = resume(header(since_us=7), "a", streams)
    assert (found.state, found.why, found.since_us, found.begun) == ("t1", "", 7, True)


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (b"", "for the first time"),
        (b"{", "not readable"),
        (header(token=None), "was reset"),
        (header("b"), "have changed"),
    ],
)
def test_it_begins_anew_and_says_why(streams, last, why):
    found = resume(last, "a", streams)
    assert found.state is None
    assert why in found.why


def test_a_reset_that_is_in_the_journal_keeps_since_when_events_are_wanted(streams):
    found = resume(header(token=None, since_us=9), "a", streams)
    assert (found.since_us, found.begun) == (9, True)
    assert resume(header("b", since_us=9), "a", streams).since_us == 0


def test_a_change_back_goes_on_in_the_former_stream(streams):
    assert resume(header("old", "t5", 3), "new", streams).state is None
    again = resume(header("new", "t9"), "old", streams)
    assert (again.state, again.why, again.since_us, again.begun) == ("t5", "", 3, False)
    assert resume(header("old", "t6"), "new", streams).state == "t9"
    assert resume(header("old", None), "new", streams).state == "t9"
    assert resume(header("new", "t9"), "old", streams).state is None
