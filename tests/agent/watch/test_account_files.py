from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.watch import account_files
from deodar.agent.watch.account_files import names


def test_comments_and_lines_of_nis_are_passed_over() -> None:
    table = account_files.group(b"# text\n\n+::::\nroot:x:0:\n-bad\n")
    assert table.rows == {"root": ["root", "x", "0", ""]}
    assert table.flaw == ""


def test_a_name_that_is_there_twice_keeps_both_rows() -> None:
    table = account_files.group(b"a:x:1:\na:x:2:\na:x:3:\n")
    assert [*table.rows] == ["a", "a#2", "a#3"]


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (b"", "it does not end with a line end"),
        (b"root:x:0:0:root:/root:/bin/b", "it does not end with a line end"),
        (b"root:x:0:0\n", "line 1 does not have 7 fields of the right kind"),
        (b"root:x:zero:0:::\n", "line 1 does not have 7 fields of the right kind"),
    ],
)
def test_a_half_written_file_is_recognised(content: bytes, flaw: str) -> None:
    assert account_files.passwd(content).flaw == flaw


def test_lines_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_files, "MOST_LINES", 2)
    table = account_files.gshadow(b"a:::\nb:::\nc:::\n")
    assert [*table.rows] == ["a", "b"]
    assert table.flaw == "it has more than 2 lines"


@given(st.binary(max_size=300))
def test_any_bytes_give_a_table(content: bytes) -> None:
    assert all(len(row) == 9 for row in account_files.shadow(content).rows.values())


def test_names_are_sorted_and_each_there_once() -> None:
    assert names("b,a,,b") == ("a", "b")
