from __future__ import annotations

import time

import pytest
from tests.siem.pipeline.enrichment.test_rule import column, enriched

from deodar.siem.pipeline import dictionaries
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.frame import frame_of


def test_a_field_is_copied_with_its_steps_in_order():
    found, written, errors = enriched(
        "event",
        field="FilePath",
        target="FileName",
        steps=[{"regexp": "([0-9]+)$"}, {"prepend": "N"}, "lower"],
    )
    assert column(found, "FileName") == ["n0", "n1", "n2", "n3"]
    assert (written.all(), errors) == (True, 0)


def test_numbers_are_converted_and_what_is_none_is_an_error():
    found, written, errors = enriched("event", field="Extra.Depth", target="FileSize")
    assert column(found, "FileSize") == [0, 1, 2, 0]
    found, written, errors = enriched("event", field="Name", target="FileSize")
    assert column(found, "FileSize") == [0] * 4
    assert (written.any(), errors) == (False, 4)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("([0-9])", "1"),
        ("^(.)", "x"),
        ("(.)$", "4"),
        ("a(z?)b", None),
        ("(?i)(AB)", "ab"),
        ("b|(c)", None),
        ("(1|12)3", "12"),
        (r"\n(.*)", "4"),
        ("(absent)", None),
    ],
)
def test_a_regexp_keeps_group_one_of_the_first_match(expression, expected):
    events = frame_of([{"Name": "xab123\n4"}])
    found, written, errors = enriched(
        "event", events=events, field="Name", target="Reason", steps=[{"regexp": expression}]
    )
    assert (column(found, "Reason")[0] or None, errors) == (expected, 0)
    assert written.tolist() == [expected is not None]


def test_a_regexp_takes_time_in_proportion_to_the_text():
    events = frame_of([{"Message": "a" * 1000 + "b"}])
    began = time.process_time()
    enriched(
        "event", events=events, field="Message", target="Reason", steps=[{"regexp": "^(a+)+$"}]
    )
    assert time.process_time() - began < 2.0


def test_an_empty_field_changes_nothing():
    found, written, _errors = enriched("event", field="SourceUserName", target="Name")
    assert column(found, "Name") == ["Process | started"] * 4
    assert not written.any()


def test_a_step_may_look_into_a_dictionary_of_the_collector(tmp_path):
    tables = dictionaries.read([{"name": "d", "values": {"0": "zero"}}], "here")
    found, _written, _errors = enriched(
        "event",
        dictionaries=dictionaries.load(tables, tmp_path),
        field="Extra.Depth",
        target="Reason",
        steps=[{"lookup": ["d", "other"]}],
    )
    assert column(found, "Reason") == ["zero", "other", "other", "zero"]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["lowr"], r"steps\[0\]: there is no step lowr"),
        (["lower", {"regexp": "("}], r"steps\[1\]: bad regular expression"),
        ([{"regexp": "(a)\\1"}], r"steps\[0\]: .*no regular expression of RE2"),
        ([{"lookup": "absent"}], r"steps\[0\]: there is no dictionary absent"),
        (["lower"] * 21, "more than 20"),
    ],
)
def test_a_step_that_cannot_be_used_is_told(steps, reason):
    with pytest.raises(RuleError, match=reason):
        enriched("event", field="Name", target="Message", steps=steps)
