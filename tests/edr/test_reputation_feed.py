from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.edr.errors import FeedProblem
from deodar.edr.reputation import Entry
from deodar.edr.reputation_feed import LONGEST_LINE, entries

MD5, SHA = "a" * 32, "b" * 64


def read(text: str) -> list[Entry]:
    return list(entries(text.encode().splitlines(keepends=True), "feed", "untrusted", 9))


def test_plain_lists_and_csv_are_read():
    assert read(f"# a list\n\n{MD5}\r\n{SHA.upper()}\n") == [
        Entry(MD5, "untrusted", "feed", 9),
        Entry(SHA, "untrusted", "feed", 9),
    ]
    told = read(f'\ufeffsha256,verdict,note\n{SHA},Trusted,"ours, tested"\n{MD5},,\n')
    assert [(e.hash, e.verdict, e.note) for e in told] == [
        (SHA, "trusted", "ours, tested"),
        (MD5, "untrusted", ""),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{MD5}\nodd\n", "line 2: 'odd' is neither"),
        (f"{MD5},perhaps\n", "line 1: 'perhaps' is no verdict; there are: untrusted, trusted"),
        (f"{MD5}\nhash\n", "line 2: 'hash' is neither"),
        ("x" * (LONGEST_LINE + 1), "line 1: it is longer"),
    ],
)
def test_wrong_lines_are_named(text, told):
    with pytest.raises(FeedProblem, match=told):
        read(text)


def test_bytes_that_are_no_text_are_told():
    with pytest.raises(FeedProblem, match="line 1: it is not UTF-8"):
        list(entries([b"\xff\xfe"], "feed", "trusted"))


def test_a_line_that_is_no_csv_is_told():
    with pytest.raises(FeedProblem, match="line 2: new-line character"):
        list(entries([MD5.encode(), b"a\rb\n"], "feed", "trusted"))


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_whatever_a_file_holds_is_entries_or_an_error_with_its_line(lines):
    with contextlib.suppress(FeedProblem):
        for entry in entries(lines, "feed", "trusted"):
            assert len(entry.hash) in (32, 64)
