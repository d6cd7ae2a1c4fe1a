from __future__ import annotations

import pytest
from tests.siem.pipeline.test_frame import frame

from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.filters import filter as filters
from deodar.siem.pipeline.filters.filter import Filter, expression_of, read
from deodar.siem.pipeline.filters.parser import parse


def test_without_a_condition_every_event_passes_at_no_cost():
    nothing = Filter(None, {})
    assert nothing.is_open
    assert nothing.mask(frame()) is None


def test_a_filter_tells_which_events_meet_it():
    found = Filter(parse("DestinationPort >= 2"), {})
    assert not found.is_open
    assert found.mask(frame()).tolist() == [False, False, True, True]


def test_settings_have_code_or_nodes():
    node = {"leftField": "Name", "op": "=", "constant": "a"}
    first, second = read([{"name": "x", "code": "Name = 'a'"}, {"name": "y", "nodes": node}], "f")
    assert expression_of(first) == expression_of(second) == parse("Name = 'a'")
    assert (first.invert, first.enabled) == (False, True)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"name": "x"}, r"here: filters\[0\] \(x\): give either"),
        ({"name": "x", "code": "Nam = 1"}, r"filters\[0\] \(x\): filter, column 1: there is no"),
        ({"name": "x", "cod": "a"}, r"filters\[0\]: .*cod"),
        ({"code": "Name = 'a'"}, r"filters\[0\]: .*name"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(table, reason):
    with pytest.raises(RuleError, match=reason):
        filters.read([table], "here")
