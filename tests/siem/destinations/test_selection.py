from __future__ import annotations

import pytest
from tests.siem.batches import batch

from deodar.siem.destinations.selection import Selection, check_filter
from deodar.siem.pipeline.errors import FilterError, RuleError


def passing(text: str, events) -> list[str]:
    return Selection(text).of(events).column("ID").to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["id-0", "id-1", "id-2", "id-3"]),
        ("DestinationPort >= 2", ["id-2", "id-3"]),
        ("FilePath endsWith '/1' OR DestinationPort = 3", ["id-1", "id-3"]),
        ("Extra.Depth = '0'", ["id-0", "id-3"]),
        ("NOT Name contains 'started'", []),
        ("SourceUserName = 'root'", []),
        ("SourceUserName != 'root'", ["id-0", "id-1", "id-2", "id-3"]),
    ],
)
def test_events_pass_as_the_filter_says(text, expected):
    assert passing(text, batch(4).events) == expected


def test_dictionaries_of_the_collector_can_be_asked():
    text = "Name inDictionary 'names'"
    found = Selection(text, {"names": {"Process | started": ""}}).of(batch(2).events)
    assert found.num_rows == 2
    with pytest.raises(RuleError, match="there is no dictionary names"):
        Selection(text)


def test_a_name_that_is_no_field_of_the_model_is_refused_with_the_nearest():
    with pytest.raises(FilterError, match=r"did you mean DestinationPort\?"):
        check_filter("DestinationPrt = 1")


def test_fields_of_the_event_vocabulary_are_not_those_of_the_model():
    with pytest.raises(FilterError, match="there is no field RemotePort"):
        check_filter("RemotePort = 1")
