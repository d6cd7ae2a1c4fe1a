from __future__ import annotations

from typing import Any

import pytest

from deodar.columnar import steps
from deodar.siem.normalizers.conversions import step

TABLES = {"protocol": {"6": "TCP"}}


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("lower", steps.Lower()),
        ("upper", steps.Upper()),
        ("trim", steps.Trim()),
        ({"trim": "x"}, steps.Trim("x")),
        ({"replace": ["a", "b"]}, steps.Replace("a", "b")),
        ({"regexp": "(a)"}, steps.Regexp("(a)")),
        ({"append": "a"}, steps.Append("a")),
        ({"prepend": "a"}, steps.Prepend("a")),
        ({"substring": [0, 3]}, steps.Substring(0, 3)),
        ({"lookup": "protocol"}, steps.Lookup({"6": "TCP"})),
        ({"lookup": ["protocol", "other"]}, steps.Lookup({"6": "TCP"}, "other")),
        ({"divide": 1000}, steps.Divide(1000)),
    ],
)
def test_every_step_can_be_written(written: str | dict[str, Any], made: steps.Step) -> None:
    assert step(written, TABLES) == made


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("lowre", "there is no step lowre; there are append, divide"),
        ({"lower": None, "upper": None}, "one name"),
        ({}, "one name"),
        ({"regexp": "("}, "bad regular expression"),
        ({"regexp": "a"}, "needs a group"),
        ({"replace": "a"}, "a list of two"),
        ({"replace": ["a", 1]}, "a list of two"),
        ({"append": 5}, "takes a text"),
        ({"lookup": "nothing"}, "no dictionary nothing"),
        ({"divide": 0}, "a whole number above 0"),
    ],
)
def test_what_is_written_wrong_is_told(written: str | dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        step(written, TABLES)
