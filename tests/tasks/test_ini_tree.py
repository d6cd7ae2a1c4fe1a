from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.tasks.errors import InvalidSetting
from deodar.tasks.ini_tree import MAXIMUM_BYTES, Node, place, quote, read_tree, unquote
from deodar.tasks.single import line_of


def test_sections_and_names_keep_their_lines() -> None:
    tree = read_tree("a=1\n\n[B.item_0000]\n; note\n  # note\n c = two \n", "x.ini")
    assert tree == {"a": "1", "B": {"item_0000": {"c": "two"}}}
    assert line_of(tree["a"]) == 1
    assert line_of(tree["B"]["item_0000"]) == 3
    assert line_of(tree["B"]["item_0000"]["c"]) == 6


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfa=1\r\n[B]\r\nc=2\r\n",
        "\ufeffa=1\n[B]\nc=2",
        "a\t=\t1\n [ B ] \n\tc=2",
        "B.c=2\na=1",
        'a="1"\n[B]\nc= "2" ',
    ],
)
def test_the_same_may_be_written_in_other_ways(text: str | bytes) -> None:
    assert read_tree(text, "") == {"a": "1", "B": {"c": "2"}}


def test_sections_are_found_in_any_case() -> None:
    assert read_tree("[Ab.item_0]\nx=1\n[aB.ITEM_1]\nx=2", "") == {
        "Ab": {"item_0": {"x": "1"}, "ITEM_1": {"x": "2"}}
    }


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a=1\nb", 2, "Name=Value is expected"),
        ("a=1\na=2", 2, "a: it is given twice (line 1)"),
        ("a=1\nA=2", 2, "A: it is given twice (line 1)"),
        ("[B]\na=1\n[C]\n[b]", 4, "this section is there already (line 1)"),
        ("[B]\nx.y=1\n[B.x]\ny=2", 4, "y: it is given twice (line 2)"),
        ("B=1\n[B]", 2, "B is a value (line 1) and cannot be a section"),
        ("[B.c]\nd=1\n[B]\nc=1", 4, "c: it is given twice (line 1)"),
        ("[B", 1, "a section is written [Name] on a line of its own"),
        ("[B] ; note", 1, "a section is written [Name] on a line of its own"),
        ("[[B]]", 1, "a section is written [Name] on a line of its own"),
        ("[]", 1, "it is not the name of a setting"),
        ("[B..c]", 1, "B..c: it is not the name of a setting"),
        ("=1", 1, "it is not the name of a setting"),
        ("a b=1", 1, "a b: it is not the name of a setting"),
        ("é=1", 1, "é: it is not the name of a setting"),
        ("a\x00=1", 1, "a\\x00: it is not the name of a setting"),
        (".".join("abcdefghi") + "=1", 1, "a.b.c.d.e.f.g.h.i: it is not the name of a setting"),
        ('a="1', 1, "a: a quoted text ends with a quote, and nothing follows it"),
        ('a="1" 2', 1, "a: a quoted text ends with a quote, and nothing follows it"),
        ('a="1\\"', 1, "a: a quoted text ends with a quote"),
        ("a=1 ; note", 1, "a: a comment needs a line of its own; a text with blanks needs quotes"),
        ("a=1 # note", 1, "a: a comment needs a line of its own"),
        ('{"a": 1}', 1, "Name=Value is expected; for JSON say so (--json)"),
        ('{\n"a=": 1}', 1, "Name=Value is expected; for JSON say so"),
        (b"a=1\nb=2\nc=\xff", 3, "it is not UTF-8 text"),
        ("a=1".encode("utf-16"), 1, "it is not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str | bytes, line: int, told: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(f"x.ini, line {line}: {told}")):
        read_tree(text, "x.ini")


@pytest.mark.parametrize("text", [b"#" * (MAXIMUM_BYTES + 1), "#" * (MAXIMUM_BYTES + 1)])
def test_a_large_file_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidSetting, match=r"x\.ini: it is larger than 1 MB"):
        read_tree(text, "x.ini")


def test_a_file_of_1_mb_is_read() -> None:
    line = b"a_%06d=1\n"
    count = MAXIMUM_BYTES // len(line % 0)
    tree = read_tree(b"".join(line % number for number in range(count)), "")
    assert len(tree) == count


def test_a_word_has_no_line() -> None:
    root = Node()
    place(root, "a.b", "1")
    with pytest.raises(InvalidSetting, match=r"^a\.b: it is given twice$"):
        place(root, "a.b", "2")


@given(st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"])))
def test_any_text_in_quotes_comes_back(text: str) -> None:
    assert unquote(quote(text).strip(" \t")) == text
    assert read_tree(f"a={quote(text)}\n", "") == {"a": text}


@given(st.text() | st.binary())
def test_anything_is_read_or_refused(text: str | bytes) -> None:
    try:
        read_tree(text, "x.ini")
    except InvalidSetting as error:
        assert str(error).startswith("x.ini")  # noqa: PT017
