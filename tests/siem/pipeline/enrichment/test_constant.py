from __future__ import annotations

import pytest
from tests.siem.pipeline.enrichment.test_rule import column, enriched

from deodar.siem.pipeline.errors import RuleError


def test_a_constant_is_put_into_the_field():
    events, written, errors = enriched("constant", target="DeviceCustomNumber1", constant="7")
    assert column(events, "DeviceCustomNumber1") == [7] * 4
    assert (written.tolist(), errors) == ([True] * 4, 0)


def test_an_empty_constant_clears_the_field():
    events, _written, _errors = enriched("constant", target="Name", constant="")
    assert column(events, "Name") == [""] * 4
    events, _written, _errors = enriched("constant", target="Extra.Depth", constant="")
    assert column(events, "Extra.Depth") == [""] * 4


def test_only_events_that_meet_the_filter_are_changed():
    events, written, _errors = enriched(
        "constant", target="DeviceAction", constant="x", filter="DestinationPort > 1"
    )
    assert column(events, "DeviceAction") == ["", "", "x", "x"]
    assert written.tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"target": "DestinationPort", "constant": "x"}, "DestinationPort is integer; 'x' is none"),
        ({"target": "DeviceAction", "constant": "x" * 64}, "at most 63 characters"),
        ({"target": "Name", "constant": "x" * 256}, "255"),
        ({"target": "ID", "constant": "x"}, "target: ID is set by the collector"),
        ({"target": "GroupedBy", "constant": "x"}, "set by the correlator"),
        ({"target": "Nam", "constant": "x"}, "did you mean Name"),
        ({"target": "Name"}, "constant"),
    ],
)
def test_what_the_field_cannot_hold_is_refused(settings, reason):
    with pytest.raises(RuleError, match=reason):
        enriched("constant", **settings)
