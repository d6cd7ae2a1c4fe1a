from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.siem.batches import batch

from deodar.siem.pipeline.fields import field
from deodar.siem.pipeline.frame import EventFrame, frame_of

DEPTH = field("Extra.Depth")


def frame(count: int = 4) -> EventFrame:
    return EventFrame(batch(count).events, range(count))


def where(*places: bool) -> np.ndarray:
    return np.array(places, bool)


def test_columns_and_entries_of_maps_are_read_and_what_is_absent_is_empty():
    events = frame()
    assert events.read(field("DestinationPort")).to_pylist() == [0, 1, 2, 3]
    assert events.read(DEPTH).to_pylist() == ["0", "1", "2", "0"]
    assert events.read(field("SourceUserName")).to_pylist() == [""] * 4
    assert events.read(field("Extra.Other")).to_pylist() == [""] * 4
    assert events.read(field("GroupedBy")).to_pylist() == [[]] * 4


def test_values_are_written_where_the_mask_is_true():
    events = frame()
    ref = field("SourceUserName")
    events.write(ref, pa.array(["a", "b", "c", "d"]), where(True, False, True, False))
    assert events.read(ref).to_pylist() == ["a", "", "c", ""]
    assert events.batch().column("SourceUserName").to_pylist() == ["a", "", "c", ""]


def test_an_entry_of_a_map_is_set_replaced_and_taken_away():
    events = frame()
    events.write(DEPTH, pa.array(["9", "", "8", "7"]), where(True, True, False, True))
    events.write(field("Extra.New"), pa.array(["n"] * 4), where(False, False, True, True))
    found = [dict(entries) for entries in events.batch().column("Extra").to_pylist()]
    assert found == [{"Depth": "9"}, {}, {"Depth": "2", "New": "n"}, {"Depth": "7", "New": "n"}]


def test_an_entry_can_be_set_where_there_is_no_map_or_a_part_of_one():
    plain = frame_of([{"Name": "a"}, {"Name": "b"}])
    plain.write(field("TI.x"), pa.array(["1", "2"]), where(False, True))
    assert [dict(entries) for entries in plain.batch().column("TI").to_pylist()] == [{}, {"x": "2"}]
    whole = batch(6).events.slice(2, 3)
    part = EventFrame(whole, range(3))
    part.write(DEPTH, pa.array(["x"] * 3), where(True, False, False))
    assert part.read(DEPTH).to_pylist() == ["x", "0", "1"]


def test_events_are_kept_with_their_places():
    kept = frame().keep(where(False, True, False, True))
    assert kept.rows.tolist() == [1, 3]
    assert kept.batch().column("ID").to_pylist() == ["id-1", "id-3"]


def test_distinct_combinations_are_found_once_with_the_events_that_have_them():
    events = frame()
    keys, places = events.distinct((DEPTH, field("Name")), where(True, True, False, True))
    assert [keys[place] for place in places] == [
        ("0", "Process | started"),
        ("1", "Process | started"),
        ("0", "Process | started"),
    ]
    assert len(keys) == 2
    assert events.distinct((), where(True, True, True, True))[0] == [()]


def test_a_value_of_another_type_is_told_with_its_field():
    with pytest.raises(ValueError, match="DestinationPort: "):
        frame_of([{"DestinationPort": "many"}])
