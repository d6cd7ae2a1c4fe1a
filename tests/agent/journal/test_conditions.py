from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.journal.conditions import is_like, meets


@pytest.mark.parametrize(
    ("text", "mask", "fits"),
    [
        ("/etc/passwd", "%etc%", True),
        ("/etc/passwd", "/ETC/%", True),
        ("/etc/passwd", "etc", False),
        ("/etc/passwd", "/etc/passwd", True),
        ("abc", "a%c", True),
        ("a", "a%a", False),  # the two ends must not overlap
        ("aa", "a%a", True),
        ("abcbc", "%bc", True),
        ("ab", "%b%b", False),
        ("a_c", "a_c", True),
        ("abc", "a_c", False),  # only % is a wildcard
        ("", "%", True),
        ("", "", True),
        ("x", "", False),
        ("anything", "%%%", True),
        ("a\nb", "a%b", True),
    ],
)
def test_masks(text: str, mask: str, fits: bool) -> None:
    assert is_like(text, mask) is fits


@given(st.text("ab%", max_size=8), st.text("ab", max_size=8))
def test_a_mask_means_what_the_obvious_search_says(mask: str, text: str) -> None:
    def fits(m: str, t: str) -> bool:
        if not m:
            return not t
        if m[0] == "%":
            return any(fits(m[1:], t[i:]) for i in range(len(t) + 1))
        return bool(t) and t[0] == m[0] and fits(m[1:], t[1:])

    assert is_like(text, mask) is fits(mask, text)


def test_a_nasty_mask_takes_no_time() -> None:
    begin = time.perf_counter()
    assert not is_like("a" * 4096, "%a" * 2000 + "%b")
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize(
    ("found", "operator", "value", "result"),
    [
        ("9", "<", "10", True),  # as numbers
        ("9", "<", "10x", False),  # as texts
        ("-1.5", "<", "-1", True),
        ("x", ">", "10", True),
        ("", "<", "10", True),  # absent: an empty text
        ("10", "==", "10.0", False),  # equality is that of texts
        ("a", "!=", "b", True),
        ("9" * 4000, ">", "1", True),
    ],
)
def test_details_compare_as_numbers_where_both_are(
    found: str, operator: str, value: str, result: bool
) -> None:
    assert meets(found, operator, value) is result
