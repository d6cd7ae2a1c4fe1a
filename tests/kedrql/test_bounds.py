from __future__ import annotations

import pytest

from deodar.kedrql import KedrqlError, Not, parse
from deodar.kedrql.bounds import MAX_DEPTH, MAX_TERMS


@pytest.mark.parametrize("opening", ["(", "NOT ", "NOT ("])
def test_nesting_is_bounded(opening: str) -> None:
    often = MAX_DEPTH // (opening.count("(") + opening.count("NOT"))
    inner, closing = "FileSize = 1", opening.count("(") * ")"
    parse(opening * often + inner + closing * often)
    with pytest.raises(KedrqlError, match="more than 64") as caught:
        parse(opening * (often + 1) + inner + closing * (often + 1))
    assert caught.value.column > len(opening) * often


def test_the_deepest_text_that_fits_is_refused_without_harm() -> None:
    for text in ("(" * 16000, "NOT " * 4000, "FileSize=1 AND (" * 1000):
        with pytest.raises(KedrqlError, match="more than 64"):
            parse(text)


def test_what_is_closed_does_not_count() -> None:
    text = " AND ".join(["NOT NOT (NOT (FileSize = 1))"] * 100)
    assert len(parse(text).terms) == 100  # type: ignore[union-attr]
    assert isinstance(parse("NOT (FileSize=1) OR " * 99 + "FileSize=1").terms[0], Not)  # type: ignore[union-attr]


def test_the_number_of_conditions_is_bounded() -> None:
    most = " OR ".join(["FileSize=1"] * MAX_TERMS)
    assert len(parse(most).terms) == MAX_TERMS  # type: ignore[union-attr]
    with pytest.raises(KedrqlError, match="more than 500 conditions"):
        parse(most + " OR FileSize=1")


def test_a_parenthesis_that_closes_none_is_refused() -> None:
    with pytest.raises(KedrqlError, match="closes none") as caught:
        parse("(FileSize = 1)) AND FileSize = 2")
    assert caught.value.column == 15
