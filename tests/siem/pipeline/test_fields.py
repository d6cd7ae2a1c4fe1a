from __future__ import annotations

import pytest

from deodar.siem.pipeline.fields import FieldRef, field


def test_fields_have_the_models_kinds_and_times_are_integers():
    assert field("Name") == FieldRef("Name", "string")
    assert field("StartTime").kind == field("DestinationPort").kind == "integer"
    assert field("SourceLatitude").kind == "float"
    assert field("GroupedBy").kind == "strings"


def test_an_entry_of_a_map_is_a_text_field_without_a_bound():
    depth = field("Extra.data.win.Depth")
    assert (depth.column, depth.key, depth.kind) == ("Extra", "data.win.Depth", "string")
    assert (depth.name, depth.max_length) == ("Extra.data.win.Depth", None)
    assert field("Name").max_length == 512


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("DestinationPrt", "did you mean DestinationPort"),
        ("Extra", r"such as Extra\.Key"),
        ("Name.Key", r"there is no field Name\.Key"),
        ("", "there is no field"),
    ],
)
def test_what_is_no_field_is_told(name, reason):
    with pytest.raises(ValueError, match=reason):
        field(name)


def test_what_an_event_does_not_have_is_empty_as_in_the_store():
    assert field("Name").value({}) == ""
    assert field("DestinationPort").value({"DestinationPort": None}) == 0
    assert field("GroupedBy").value({}) == []
    assert field("Extra.a").value({"Extra": {"b": "1"}}) == ""
    assert field("Extra.a").value({"Extra": [("a", "1")]}) == "1"
