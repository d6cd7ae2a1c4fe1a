from __future__ import annotations

import uuid

import pytest

from deodar.siem.pipeline.aggregation.rule import open_rule, read
from deodar.siem.pipeline.errors import RuleError


def rule(**changes):
    (settings,) = read([{"name": "r", "identical": ["Name"], **changes}], "here")
    return open_rule(settings, {})


def test_defaults_are_those_of_kuma():
    made = rule()
    assert (made.settings.threshold, made.settings.lifetime) == (100, 60.0)
    assert made.lifetime_us == 60_000_000


def test_a_rule_has_an_id_of_its_own_or_one_made_of_its_name():
    assert uuid.UUID(rule().shape.rule_id)
    assert rule().shape.rule_id == rule(threshold=7).shape.rule_id
    assert rule(id="mine").shape.rule_id == "mine"


def test_the_shape_is_what_windows_depend_on():
    assert rule(threshold=7, lifetime=5, filter="Name = 'a'").digest == rule().digest
    for changes in ({"identical": ["Message"]}, {"sum": ["FileSize"]}, {"unique": ["Message"]}):
        assert rule(**changes).digest != rule().digest


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"identical": []}, r"aggregation\[0\]: .*identical"),
        ({"threshold": 1}, "threshold"),
        ({"lifetime": 0}, "lifetime"),
        ({"identical": ["Nam"]}, r"aggregation\[0\] \(r\): identical: .*did you mean Name"),
        ({"identical": ["ID"]}, "set by the collector"),
        ({"unique": ["Name"]}, "Name is named twice"),
        ({"sum": ["Message"]}, "sum: Message is a text"),
        ({"identical": ["StartTime"]}, "StartTime is set by aggregation itself"),
        ({"filter": "Nam = 1"}, r"\(r\): filter, column 1"),
        ({"thresold": 1}, "thresold"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(changes, reason):
    with pytest.raises(RuleError, match=reason):
        rule(**changes)


def test_a_rule_whose_dictionary_is_not_there_is_named():
    with pytest.raises(RuleError, match="aggregation rule r: there is no dictionary d"):
        rule(filter="Name inDictionary 'd'")
