from __future__ import annotations

import numpy as np
import pyarrow as pa

from deodar.columnar.frame import Frame
from deodar.columnar.spec import OTHER, Spec

SPEC = Spec(
    name="f",
    columns=(),
    types={"process": (), "file": ()},
    aliases={"proc": "process"},
    kinds={"Ioa.Name": "strings"},
)


def frame() -> Frame:
    return Frame(
        spec=SPEC,
        places=[0, 1, 3, 4],
        arrays={
            "EventType": pa.array(["process", "file", "proc", None]),
            "A": pa.array(["a", "", "c", None]),
            "B": pa.array([None, "b", None, None], pa.string()),
        },
        nested={"Ioa": {2: {"Name": "n"}, 3: {"Name": []}}},
        rest={},
        refused=[2],
    )


def codes(one: Frame, *types: str) -> frozenset[int]:
    return frozenset(one.types.index(name) for name in types)


def test_types_are_canonical_and_unknown_ones_are_one() -> None:
    one = frame()
    assert [one.types[code] for code in one.codes] == ["process", "file", "process", OTHER]
    assert one.rows_of(codes(one, "process")).tolist() == [True, False, True, False]


def test_which_types_have_a_field() -> None:
    one = frame()
    assert one.having("A") == codes(one, "process")
    assert one.having("B") == codes(one, "file")
    assert one.having("Ioa") == codes(one, "process", OTHER)
    assert one.having("Nothing") == frozenset()


def test_a_source_reads_each_path_only_where_it_may() -> None:
    one = frame()
    reads = {"A": codes(one, "process"), "B": codes(one, "file")}
    assert one.source(reads).to_pylist() == ["a", "b", "c", None]
    assert one.source({"A": codes(one, "file")}).to_pylist() == [None, "", None, None]
    assert one.source({"Ioa.Name": codes(one, "process", OTHER)}).to_pylist() == [
        None,
        None,
        ["n"],
        None,
    ]


def test_what_is_kept_is_what_was_noted_and_what_nobody_reads() -> None:
    one = frame()
    one.keep({"A": codes(one, "process")}, np.array([False, True, True, True]))
    unread: list[set[str]] = [{"Ioa"}, {"B", "A"}, set()]
    assert one.types == ("process", "file", OTHER)
    kept = {name: mask.tolist() for name, mask in one.kept(unread)}
    assert kept == {
        "A": [False, False, True, False],
        "B": [False, True, False, False],
        "Ioa": [False, False, True, False],
    }


def test_a_value_for_each_type() -> None:
    one = frame()
    values = {one.types.index("process"): "p", one.types.index("file"): "f"}
    assert one.by_type(values, "string").to_pylist() == ["p", "f", "p", None]
