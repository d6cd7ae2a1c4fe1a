from __future__ import annotations

import pytest
from tests.siem.batches import batch

from deodar.kedrql import KedrqlError
from deodar.siem.destinations.selection import Selection


def passing(text: str, events) -> list[str]:
    return Selection(text).of(events).column("ID").to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["id-0", "id-1", "id-2", "id-3"]),
        ("DestinationPort >= 2", ["id-2", "id-3"]),
        ("FilePath ENDS '/1' OR DestinationPort == 3", ["id-1", "id-3"]),
        ("Extra.Depth == '0'", ["id-0", "id-3"]),
        ("NOT Name CONTAINS started", []),
        ("SourceUserName == root", []),
        ("SourceUserName != root", ["id-0", "id-1", "id-2", "id-3"]),
    ],
)
def test_events_pass_as_the_filter_says(text, expected):
    assert passing(text, batch(4).events) == expected


def test_a_name_that_is_no_field_of_the_model_is_refused_with_the_nearest():
    with pytest.raises(KedrqlError, match=r"did you mean DestinationPort\?"):
        Selection("DestinationPrt == 1")


def test_fields_of_the_event_vocabulary_are_not_those_of_the_model():
    with pytest.raises(KedrqlError, match="there is no field RemotePort"):
        Selection("RemotePort == 1")
