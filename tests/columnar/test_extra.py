from __future__ import annotations

import pyarrow as pa

from deodar.columnar.extra import ExtraBuilder
from deodar.columnar.fields import Fields
from deodar.columnar.frame import Frame
from deodar.columnar.spec import Spec

SPEC = Spec(
    name="e",
    columns=(),
    kinds={"N": "integer", "F": "float", "Ioa": "strings"},
    types={"a": ("A", "N", "F", "Ioa")},
)


def test_entries_of_all_sources_come_together_by_row() -> None:
    frame = Frame(
        spec=SPEC,
        places=[0, 2, 3],
        arrays={
            "EventType": pa.array(["a", "a", "b"]),
            "A": pa.array(["x", None, "z"]),
            "N": pa.array([None, -7, 8], pa.int64()),
            "F": pa.array([1.0, None, 2.5]),
        },
        nested={"Ioa": {1: {"k": "é"}}},
        rest={2: {"New": "n"}, 1: {"Lost": "its row became a dead letter"}},
        refused=[1],
    )
    builder = ExtraBuilder(Fields(SPEC))
    builder.add_frame(frame, [{"A", "N", "F", "Ioa"}, {"N"}])
    builder.add_row(3, {"Late": "l"})
    column = builder.finish(4)
    assert column is not None
    assert column.type == pa.map_(pa.string(), pa.string())
    assert [dict(entry) for entry in column.to_pylist()] == [
        {"A": "x", "F": "1.0"},
        {"N": "-7", "Ioa": '{"k":"é"}', "New": "n"},
        {"N": "8"},
        {"Late": "l"},
    ]


def test_nothing_kept_is_no_column() -> None:
    assert ExtraBuilder(Fields(SPEC)).finish(3) is None
