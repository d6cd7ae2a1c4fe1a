from __future__ import annotations

import pytest

from deodar.siem.pipeline.enrichment.base import Surroundings
from deodar.siem.pipeline.enrichment.registry import KINDS, open_rule, read
from deodar.siem.pipeline.errors import RuleError

CONSTANT = {"name": "r", "kind": "constant", "target": "Name", "constant": "x"}


def test_rules_are_read_in_their_order():
    first, second = read([CONSTANT, {**CONSTANT, "name": "s", "enabled": False}], "here")
    assert (first.name, first.enabled, second.name, second.enabled) == ("r", True, "s", False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"kind": "cybertrace"},
            r"here: enrichment\[0\]\.kind: 'cybertrace' is no kind .*constant",
        ),
        ({"targt": "x"}, r"enrichment\[0\] \(kind constant\): .*targt"),
        ({"target": "Nam"}, r"enrichment\[0\] \(r\)\.target: .*did you mean Name"),
        ({"filter": "Nam = 1"}, r"enrichment\[0\] \(r\).*filter, column 1"),
        ({"name": ""}, r"enrichment\[0\] .*name"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(changes, reason):
    with pytest.raises(RuleError, match=reason):
        read([{**CONSTANT, **changes}], "here")


def test_every_kind_is_named_as_it_is_registered():
    assert all(kind.name == name for name, kind in KINDS.items())


def test_a_rule_whose_dictionary_is_not_there_is_named(tmp_path):
    (rule,) = read([{**CONSTANT, "filter": "Name inDictionary 'd'"}], "here")
    with pytest.raises(RuleError, match="enrichment rule r: there is no dictionary d"):
        open_rule(rule, Surroundings(tmp_path))
