from __future__ import annotations

from typing import Any

import pytest

from deodar.columnar import steps
from deodar.columnar.values import FAILED


@pytest.mark.parametrize(
    ("step", "value", "result"),
    [
        (steps.Lower(), "ÀB", "àb"),
        (steps.Upper(), "aß", "ASS"),
        (steps.Trim(), " a b ", "a b"),
        (steps.Trim("x"), "xxaxx", "a"),
        (steps.Replace("a", "bb"), "aca", "bbcbb"),
        (steps.Regexp(r"^([^\\]+)\\"), "DOMAIN\\user", "DOMAIN"),
        (steps.Regexp(r"^([^\\]+)\\"), "user", None),
        (steps.Append("!"), "a", "a!"),
        (steps.Prepend("!"), 5, "!5"),
        (steps.Substring(1, 3), "abcd", "bc"),
        (steps.Substring(1), "abcd", "bcd"),
        (steps.Substring(9), "abcd", None),
        (steps.Lookup({"6": "TCP"}), 6, "TCP"),
        (steps.Lookup({"6": "TCP"}), 7, "7"),
        (steps.Lookup({"6": "TCP"}, "other"), 7, "other"),
    ],
)
def test_each_step(step: steps.Step, value: Any, result: str | None) -> None:
    assert steps.compile_steps((step,), "string")(value) == result


@pytest.mark.parametrize(("value", "result"), [(1999, 1), (-1, -1), (-1000, -1), ("2000", 2)])
def test_division_rounds_down(value: Any, result: int) -> None:
    assert steps.compile_steps((steps.Divide(1000),), "int64")(value) == result


def test_steps_run_in_order() -> None:
    chain = (steps.Trim(), steps.Lower(), steps.Lookup({"yes": "1"}))
    assert steps.compile_steps(chain, "int64")(" YES ") == 1


def test_a_value_that_becomes_empty_stays_empty() -> None:
    chain = (steps.Replace("a", ""), steps.Append("tail"))
    assert steps.compile_steps(chain, "string")("aa") is None


@pytest.mark.parametrize(
    ("value", "column_type"), [("abc", "int64"), ("abc", "float64"), (2**63, "int64")]
)
def test_what_cannot_have_the_type_fails(value: Any, column_type: str) -> None:
    assert steps.compile_steps((), column_type)(value) is FAILED


def test_a_failure_in_the_middle_is_a_failure() -> None:
    assert steps.compile_steps((steps.Divide(2), steps.Append("x")), "string")("abc") is FAILED
