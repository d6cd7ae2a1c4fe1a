from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deodar.kit.hash_lists import Listed, checked_hash, listed

MD5 = "a" * 32


def test_lines_are_entries_with_the_verdict_of_the_list_or_their_own():
    lines = [b"hash,verdict,note\n", MD5.upper().encode(), f"{MD5},trusted, ours".encode()]
    assert list(listed(lines, "untrusted")) == [
        Listed(MD5, "untrusted", ""),
        Listed(MD5, "trusted", "ours"),
    ]


def test_a_text_that_is_no_hash_is_told():
    with pytest.raises(ValueError, match="neither MD5 nor SHA-256"):
        checked_hash("a" * 40)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_whatever_a_file_holds_is_entries_or_an_error_with_its_line(lines):
    with contextlib.suppress(ValueError):
        assert all(len(one.hash) in (32, 64) for one in listed(lines, "untrusted"))
