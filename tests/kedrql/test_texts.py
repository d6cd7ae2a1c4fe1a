from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.events import VOCABULARY
from deodar.kedrql import Comparison, Pattern
from deodar.kedrql.texts import text_test
from deodar.kedrql.values import pattern_parts

NAME = VOCABULARY.fields["FileName"]
texts = st.text(alphabet="ab\n", max_size=8)


@given(st.lists(texts, min_size=2, max_size=5).map(pattern_parts), texts)
def test_a_pattern_matches_what_the_regular_expression_matches(
    parts: tuple[str, ...], text: str
) -> None:
    oracle = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    assert text_test(Pattern(NAME, parts))(text) == bool(oracle.fullmatch(text))


@pytest.mark.parametrize(
    ("parts", "text", "expected"),
    [
        (("ab", "ba"), "aba", False),
        (("ab", "ba"), "abba", True),
        (("a", "a", "a"), "aa", False),
        (("", "a", "b", ""), "ba", False),
    ],
)
def test_parts_do_not_overlap(parts: tuple[str, ...], text: str, expected: bool) -> None:
    assert text_test(Pattern(NAME, parts))(text) is expected


def test_many_wildcards_take_linear_time() -> None:
    test = text_test(Pattern(NAME, ("", *["a"] * 500, "b", "")))
    assert not test("a" * 200_000)


def test_the_order_is_that_of_utf8_bytes() -> None:
    assert text_test(Comparison(NAME, ">", "\uffff"))("😀")
    assert text_test(Comparison(NAME, "<", "a"))("Z")
