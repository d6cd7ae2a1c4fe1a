from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.kedrql import values


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("''", ("",)),
        ("'a'", ("a",)),
        (r"'it\'s'", ("it's",)),
        (r'"say \"yes\""', ('say "yes"',)),
        (r"'a\\*'", ("a\\", "")),
        (r"'a\*'", ("a*",)),
        (r"'C:\Windows\notepad.exe'", (r"C:\Windows\notepad.exe",)),
        ("'*a*'", ("", "a", "")),
        ("'a\nb'", ("a\nb",)),
    ],
)
def test_quotes_escapes_and_wildcards(written: str, parts: tuple[str, ...]) -> None:
    assert values.parts_of_quoted(written) == parts


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_what_is_quoted_is_read_back(parts: list[str]) -> None:
    assert values.parts_of_quoted(values.quoted(parts)) == tuple(parts)


def test_bare_values_have_wildcards_but_no_escapes() -> None:
    assert values.parts_of_bare("*.exe") == ("", ".exe")


def test_neighbouring_wildcards_are_one() -> None:
    assert values.pattern_parts(("", "", "a", "", "", "b", "")) == ("", "a", "b", "")
    assert values.pattern_parts(("", "", "")) == ("", "")


@pytest.mark.parametrize(
    "text", ["", "1.5", "0x10", "1_0", "٣", " 1", "9223372036854775808", "9" * 500]
)
def test_what_is_no_integer_of_64_bits(text: str) -> None:
    assert values.integer(text) is None


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_of_64_bits(number: int) -> None:
    assert values.integer(str(number)) == number
