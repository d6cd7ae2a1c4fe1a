from __future__ import annotations

import msgspec
import pytest

from deodar.events.builders import EventBuilder
from deodar.events.kinds import KINDS, Finder, load
from deodar.events.vocabulary import VOCABULARY


def test_there_are_34_with_the_weights_of_the_public_comparison() -> None:
    assert [kind.number for kind in KINDS] == list(range(1, 35))
    assert sum(kind.weight for kind in KINDS) == pytest.approx(28.3)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.title)
def test_types_and_fields_are_in_the_vocabulary(kind) -> None:
    for name in kind.types:
        assert VOCABULARY.types[name].linux
    known = {field for name in kind.types for field in VOCABULARY.types[name].fields}
    assert {*kind.fields, *kind.where, *kind.present} <= known
    assert kind.sources


def test_an_event_counts_by_its_type_a_value_or_a_field() -> None:
    finder = Finder(KINDS)
    assert finder.of({"EventType": "dns"}) == [12]
    assert finder.of({"EventType": "filechange", "FileOperationType": 3}) == [4]
    assert finder.of({"EventType": "filechange", "FileOperationType": 5, "DroppedSize": 0}) == [
        5,
        34,
    ]
    assert finder.of({"EventType": "process", "Md5": "ab", "FileSize": 1}) == [1, 29, 34]
    assert finder.of({"EventType": "windowsevent", "LinuxEventType": "UserLogoff"}) == [7]
    assert finder.of({"EventType": "windowsevent", "LinuxEventType": "Sneeze"}) == []
    assert finder.of({"EventType": "telemetry_loss"}) == []


def test_complete_samples_show_most_kinds() -> None:
    builder, finder = EventBuilder(3, complete=True), Finder(KINDS)
    names = {name for kind in KINDS for name in kind.types}
    seen = {
        number for name in names for _ in range(50) for number in finder.of(builder.event(name))
    }
    assert set(range(1, 35)) - seen <= {
        7,
        14,
        16,
        25,
        26,
    }  # samples have some of the log's kinds only


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="typos"):
        load("[[kinds]]\nnumber=1\ntitle='x'\nweight=1\ntypes=[]\nsources=[]\ntypos=[]")
