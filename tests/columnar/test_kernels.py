from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.columnar import kernels
from deodar.columnar.values import FAILED, as_integer

NULL = pa.scalar(None, pa.string())


@pytest.mark.parametrize(
    ("array", "mask"),
    [
        (pa.array(["a", "", None, "é"]), [True, False, False, True]),
        (pa.array([0, None, 5], pa.int64()), [True, False, True]),
        (pa.array([1, 2], pa.int64()), [True, True]),
        (pa.array([["a"], [], None], pa.list_(pa.string())), [True, False, False]),
        (pa.array(["x", "", "yy", None])[1:], [False, True, False]),
        (pa.array([], pa.string()), []),
        (pa.nulls(2, pa.string()), [False, False]),
        (kernels.choose(np.array([True, False]), pa.array(["ab", "cd"]), NULL), [True, False]),
    ],
)
def test_filled(array: pa.Array, mask: list[bool]) -> None:
    assert kernels.filled(array).tolist() == mask


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_division_is_pythons(values: list[int | None]) -> None:
    divided = kernels.floor_divide(pa.array(values, pa.int64()), 1000)
    assert divided.to_pylist() == [None if v is None else v // 1000 for v in values]


def test_conversion_is_by_distinct_value_and_tells_failures() -> None:
    seen: list[Any] = []

    def convert(value: str) -> Any:
        seen.append(value)
        return as_integer(value)

    array, failed = kernels.convert(pa.array(["1", "x", None, "1", ""]), convert, "int64")
    assert array.to_pylist() == [1, None, None, 1, None]
    assert failed is not None
    assert failed.tolist() == [False, True, False, False, False]
    assert seen == ["1", "x"]


def test_lists_are_converted_one_by_one() -> None:
    array = pa.array([["a", "b"], [], None], pa.list_(pa.string()))
    converted, failed = kernels.convert(array, "+".join, "string")
    assert converted.to_pylist() == ["a+b", None, None]
    assert failed is None
    assert kernels.convert(array, lambda _: FAILED, "int64")[1] is not None


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_cutting_counts_characters(values: list[str | None]) -> None:
    array, long = kernels.cut(pa.array(values, pa.string()), 3)
    assert array.to_pylist() == [None if v is None else v[:3] for v in values]
    expected = [v is not None and len(v) > 3 for v in values]
    assert (long.tolist() if long is not None else [False] * len(values)) == expected


def test_finished_columns_have_no_nulls_but_where_allowed() -> None:
    assert kernels.finish(pa.array(["a", None]), nullable=False).to_pylist() == ["a", ""]
    numbers = pa.array([1, None], pa.int64())
    assert kernels.finish(numbers, nullable=False).to_pylist() == [1, 0]
    assert kernels.finish(numbers, nullable=True).to_pylist() == [1, None]
    lists = pa.array([["a"], None], pa.list_(pa.string()))
    assert kernels.finish(lists, nullable=True).to_pylist() == [["a"], []]


def test_choosing_and_tables() -> None:
    mask = np.array([True, False])
    assert kernels.choose(mask, pa.array(["a", "b"]), pa.array(["c", "d"])).to_pylist() == [
        "a",
        "d",
    ]
    codes = np.array([1, 0, 1], np.int32)
    assert kernels.by_code(["x", None], codes, pa.string()).to_pylist() == [None, "x", None]
    assert kernels.empties("strings", 2, nullable=False).to_pylist() == [[], []]
