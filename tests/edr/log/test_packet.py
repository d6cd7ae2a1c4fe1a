from __future__ import annotations

import pyarrow as pa

from deodar.edr.log.packet import Packet, block


def packet(number: int, count: int, **columns: pa.Array) -> Packet:
    fields = pa.RecordBatch.from_pydict(columns)
    return Packet("agent/spool", number, fields, pa.array([f"{number}.{n}" for n in range(count)]))


def test_rows_are_numbered_through_and_keep_their_order():
    one = packet(7, 2, Id=pa.array(["a", "b"]))
    two = packet(8, 1, Id=pa.array(["c"]))
    rows = block([one, two], 100, 5)
    assert rows["seq"].to_pylist() == [100, 101, 102]
    assert rows["packet"].to_pylist() == [7, 7, 8]
    assert rows["raw"].to_pylist() == ["7.0", "7.1", "8.0"]
    assert rows["Id"].to_pylist() == ["a", "b", "c"]
    assert set(rows["received"].to_pylist()) == {5}
    assert set(rows["source"].to_pylist()) == {"agent/spool"}


def test_a_column_that_one_packet_lacks_is_completed():
    one = packet(1, 2, Text=pa.array(["a", "b"]), Number=pa.array([1, None]))
    two = packet(2, 1, Other=pa.array(["o"]))
    rows = block([one, two], 1, 0)
    assert rows["Text"].to_pylist() == ["a", "b", ""]
    assert rows["Number"].to_pylist() == [1, None, None]
    assert rows["Other"].to_pylist() == ["", "", "o"]


def test_a_packet_knows_its_size():
    assert packet(1, 3).events == 3
    assert packet(1, 3).size > 0
    assert packet(9, 1).key == ("agent/spool", 9)
