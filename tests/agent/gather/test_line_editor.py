from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.agent.gather.line_editor import LINE_BYTES, Line, LineEditor


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"ls -l\r", b"ls -l"),
        (b"ls\n", b"ls"),
        (b"lx\x7fs\r", b"ls"),
        (b"lx\x08s\r", b"ls"),
        (b"caf\xc3\xa9\x7fe\r", b"cafe"),  # one key deletes one character
        (b"bad\x15ls\r", b"ls"),
        (b"ls bad\x17-l\r", b"ls -l"),
        (b"ls bad  \x17-l\r", b"ls -l"),
        (b"ls bad\x1b\x7f-l\r", b"ls -l"),
        (b"given up\x03ls\r", b"ls"),
        (b"s\x01l\r", b"ls"),
        (b"s\x01l\x05 -l\r", b"ls -l"),
        (b"s\x1b[Dl\r", b"ls"),
        (b"s\x1bODl\x1bOC!\r", b"ls!"),
        (b"\xc3\xa9\x1b[D\x1b[Dx\r", b"x\xc3\xa9"),
        (b"\xc3\xa9\x02x\x06y\r", b"x\xc3\xa9y"),
        (b"xls\x1b[H\x1b[3~\r", b"ls"),
        (b"xls\x1b[1~\x04\x1b[4~ -l\r", b"ls -l"),
        (b"ls bad\x02\x02\x02\x0b-l\r", b"ls -l"),
        (b"l\x1b[As\x1b[1;5Ax\x7f\r", b"ls"),  # history moves nothing that is known
        (b"l\x1b[?1;2cs\x1b]11;rgb:0/0/0\x07\x1bP1\x1b\\\r", b"ls"),  # a terminal's answers
        (b"a\x16\x03b\r", b"a\x03b"),
        (b"cat fi\tle\r", b"cat fi\tle"),
        (b"\x1b[200~a\rb\x1b[201~c\r", b"a\nbc"),
        (b"l\x0cs\r", b"ls"),
        (b"x\x1b\x1b[Dl\r", b"lx"),
    ],
)
def test_keys_make_a_line(keys: bytes, line: bytes) -> None:
    assert LineEditor().feed(keys) == [Line(line, False)]
    editor = LineEditor()
    assert [made for key in keys for made in editor.feed(bytes((key,)))] == [Line(line, False)]


def test_lines_follow_one_another_and_empty_ones_are_none() -> None:
    editor = LineEditor()
    assert editor.feed(b"a\r\r  \rb\rc") == [Line(b"a", False), Line(b"b", False)]
    assert editor.has_text
    assert editor.flush() == [Line(b"c", False)]
    assert editor.flush() == []


def test_edited_lines_are_taken_as_they_are() -> None:
    editor = LineEditor()
    assert editor.feed(b"a\x7f\x15b\nc", cooked=True) == [Line(b"a\x7f\x15b", False)]
    assert editor.feed(b"d\n", cooked=True) == [Line(b"cd", False)]


def test_long_lines_are_cut_and_say_so() -> None:
    for cooked in (False, True):
        editor = LineEditor()
        (line,) = editor.feed(b"x" * 9000 + b"\n", cooked=cooked)
        assert line == Line(b"x" * LINE_BYTES, True)
        assert editor.feed(b"y\n", cooked=cooked) == [Line(b"y", False)]


def test_a_sequence_that_does_not_end_is_given_up() -> None:
    editor = LineEditor()
    editor.feed(b"\x1b[" + b"1" * 40)
    editor.feed(b"\x1b]" + b"x" * 9000)
    assert editor.feed(b"\x03ls\r") == [Line(b"ls", False)]


@given(st.lists(st.binary(max_size=40), max_size=20), st.booleans())
def test_any_keys_are_bounded_and_come_out_the_same_in_any_pieces(
    pieces: list[bytes], cooked: bool
) -> None:
    editor, whole = LineEditor(), LineEditor()
    lines = [line for piece in pieces for line in editor.feed(piece, cooked=cooked)]
    assert lines + editor.flush() == whole.feed(b"".join(pieces), cooked=cooked) + whole.flush()
    assert all(line.text.strip() and len(line.text) <= LINE_BYTES for line in lines)
