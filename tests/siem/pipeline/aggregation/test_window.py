from __future__ import annotations

import msgspec

from deodar.siem.pipeline.aggregation.grouping import Portion
from deodar.siem.pipeline.aggregation.rule import Shape
from deodar.siem.pipeline.aggregation.window import MAX_UNIQUE, Window, event, opened

SHAPE = Shape("id", "rule", ("Name", "Extra.k"), ("DestinationPort", "Message"), ("FileSize",))


def portion(count=2, first=5, last=6, total=10, ports=(1, 2), texts=("x",)) -> Portion:
    return Portion(
        ("a", "v"), count, count * 3, first, last, (total,), (ports, texts), is_full=False
    )


def test_a_window_adds_up_what_comes():
    window = opened("s", portion(), 99).with_portion(portion(3, 4, 9, 1, (2, 3), ("y",)))
    assert window == Window("s", ("a", "v"), 99, 5, 15, 4, 9, (11,), ((1, 2, 3), ("x", "y")))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(window), type=Window) == window


def test_the_event_says_how_many_it_stands_for_and_from_when_to_when():
    assert event(opened("s", portion(ports=(7,)), 99), SHAPE) == {
        "Type": 2,
        "BaseEventCount": 6,
        "AggregationRuleID": "id",
        "AggregationRuleName": "rule",
        "StartTime": 5,
        "EndTime": 6,
        "Name": "a",
        "Extra": {"k": "v"},
        "FileSize": 10,
        "DestinationPort": 7,
        "Message": "x",
    }


def test_several_values_of_a_unique_field_are_listed():
    made = event(opened("s", portion(texts=("x", "", "y")), 99), SHAPE)
    assert made["Message"] == "x, y"
    assert "DestinationPort" not in made
    assert made["Extra"] == {"k": "v", "DestinationPort": "1, 2"}


def test_a_list_that_is_too_long_for_the_field_is_whole_in_extra():
    texts = tuple(f"{n:0100}" for n in range(20))
    made = event(opened("s", portion(texts=texts), 99), SHAPE)
    assert len(made["Message"]) == 1023
    assert made["Extra"]["Message"] == ", ".join(texts)


def test_a_sum_beyond_64_bits_is_the_greatest_there_is():
    assert event(opened("s", portion(total=2**70), 99), SHAPE)["FileSize"] == 2**63 - 1


def test_a_window_with_too_many_different_values_is_crowded_and_knows_its_size():
    few, many = (opened("s", portion(ports=tuple(range(n))), 9) for n in (3, MAX_UNIQUE + 1))
    assert (few.is_crowded, many.is_crowded) == (False, True)
    assert many.size > few.size > 200
