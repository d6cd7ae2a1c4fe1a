from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.events import VOCABULARY
from deodar.kedrql import And, Comparison, KedrqlError, Not, Or, Pattern, parse

NAME = VOCABULARY.fields["FileName"]
SIZE = VOCABULARY.fields["FileSize"]


def _is(number: int) -> Comparison:
    return Comparison(SIZE, "==", number)


@pytest.mark.parametrize("operator", ["=", "=="])
@pytest.mark.parametrize("written", ["'bash'", '"bash"', "bash"])
@pytest.mark.parametrize("space", ["", " ", "\n\t"])
def test_equality_in_all_spellings(operator: str, written: str, space: str) -> None:
    text = f"FileName{space}{operator}{space}{written}"
    assert parse(text) == Comparison(NAME, "==", "bash")


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_order(operator: str) -> None:
    assert parse(f"FileSize {operator} -5") == Comparison(SIZE, operator, -5)  # type: ignore[arg-type]
    assert parse(f"FileName {operator} 'b'") == Comparison(NAME, operator, "b")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("FileName CONTAINS 'x'", ("", "x", "")),
        ("FileName starts x", ("x", "")),
        ("FileName Ends 'x'", ("", "x")),
        ("FileName CONTAINS 'x*y'", ("", "x", "y", "")),
        ("FileName CONTAINS '*x'", ("", "x", "")),
        ("FileName CONTAINS ''", ("", "")),
        ("FileName == '*'", ("", "")),
        ("FileName == 'a***b'", ("a", "b")),
        ("FileName == a*b", ("a", "b")),
        (r"FileName == 'a\*b*'", ("a*b", "")),
        ("FileName CONTAINS'x'", ("", "x", "")),
    ],
)
def test_patterns(text: str, parts: tuple[str, ...]) -> None:
    assert parse(text) == Pattern(NAME, parts)


@pytest.mark.parametrize(
    "text",
    [
        "FileName !CONTAINS 'x'",
        "FileName ! contains 'x'",
        "FileName NOT CONTAINS 'x'",
        "NOT FileName CONTAINS 'x'",
        "NOT (FileName == '*x*')",
        "FileName != '*x*'",
        "filename!=*x*",
    ],
)
def test_negations_are_all_the_same(text: str) -> None:
    assert parse(text) == Not(Pattern(NAME, ("", "x", "")))


def test_not_binds_before_and_and_before_or() -> None:
    tree = parse("NOT FileSize=1 AND FileSize=2 or FileSize=3 And not FileSize=4")
    assert tree == Or((And((Not(_is(1)), _is(2))), And((_is(3), Not(_is(4))))))


def test_parentheses_group() -> None:
    tree = parse("not (FileSize=1 AND (FileSize=2 OR FileSize=3))")
    assert tree == Not(And((_is(1), Or((_is(2), _is(3))))))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("hostname", "HostName"),
        ("ioa.rules.NAME", "Ioa.Rules.Name"),
        ("RemoteIP", "RemoteIp"),
        ("FileMd5", "Md5"),
        ("IOATag", "Ioa.Rules.Name"),
    ],
)
def test_fields_are_found_in_any_case_and_by_alias(written: str, name: str) -> None:
    tree = parse(f"{written} == 'x'")
    assert tree == Comparison(VOCABULARY.fields[name], "==", "x")


@pytest.mark.parametrize("value", ["10.0.0.1", "/usr/bin/ls", "2001:db8::1", "a-b_c@d", "5", "т"])
def test_simple_values_need_no_quotes(value: str) -> None:
    assert parse(f"(FileName={value})") == Comparison(NAME, "==", value)


@pytest.mark.parametrize(
    "value", ["contains", "starts", "android", "AND.txt", "NOT-so", "EventType"]
)
def test_a_value_may_look_like_a_word_of_the_language(value: str) -> None:
    assert parse(f"FileName == {value} AND FileSize=1") == And(
        (Comparison(NAME, "==", value), _is(1))
    )


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_integers_with_and_without_quotes(number: int, quote: str) -> None:
    assert parse(f"FileSize == {quote}{number}{quote}") == _is(number)


ERRORS = [
    ("", 1, "a field name", "the filter is empty"),
    ("FileName", 9, "an operator", "ends here"),
    ("FileName == ", 12, "a value", "ends here"),
    ("FileName == and FileSize = 1", 13, "a value", "'and'"),
    ("FileName == 'abc", 13, "a value", "no closing '"),
    (r"FileName == 'C:\'", 13, "a value", "backslash"),
    ("FileName LIKE 'a'", 10, "an operator", "'LIKE'"),
    ("FileName == 'a' HostName == 'b'", 17, "AND", "'HostName'"),
    ("FileName == 'a' && HostName == 'b'", 17, "AND", "write AND"),
    ("(FileName == 'a'", 17, ")", "ends here"),
    ("FileName == 'a')", 16, "the end of the filter", "closes none"),
    ("FileName == ('a')", 13, "a value", "'('"),
    ("AND FileName == 'a'", 1, "a field name", "'AND'"),
    ("FileSize CONTAINS '5'", 10, "==", "FileSize is an integer"),
    ("FileSize == 'abc'", 13, "an integer", "'abc'"),
    ("FileSize == 1.5", 13, "an integer", "'1.5'"),
    ("FileSize == '1*'", 13, "an integer", "'1*'"),
    ("FileSize == 9223372036854775808", 13, "an integer", "64 bits"),
    ("FileName > 'a*'", 12, "a value without wildcards", "wildcard"),
    ("FileNmae == 'a'", 1, "a field name", "did you mean FileName?"),
    ("HostIp == 'a' AND Remote == 'a'", 19, "a field name", "no field Remote"),
]


@pytest.mark.parametrize(("text", "column", "expected", "said"), ERRORS)
def test_an_error_says_where_and_what_was_expected(
    text: str, column: int, expected: str, said: str
) -> None:
    with pytest.raises(KedrqlError) as caught:
        parse(text)
    assert caught.value.column == column
    assert any(phrase.startswith(expected) for phrase in caught.value.expected)
    assert said in caught.value.reason
    assert caught.value.exit_code == 2


def test_an_error_shows_the_line_with_a_caret() -> None:
    with pytest.raises(KedrqlError) as caught:
        parse("FileName == 'a'\n  AND\tFileNmae == 'b'")
    assert str(caught.value).splitlines() == [
        "filter, line 2, column 7: there is no field FileNmae (did you mean FileName?)",
        "    AND FileNmae == 'b'",
        "        ^",
    ]
    assert caught.value.line == 2


def test_only_what_can_still_come_is_expected() -> None:
    with pytest.raises(KedrqlError) as open_one:
        parse("(FileName == '(' FileSize")
    with pytest.raises(KedrqlError) as open_none:
        parse("FileName == '(' FileSize")
    assert open_one.value.expected == ("AND", "OR", ")")
    assert open_none.value.expected == ("AND", "OR", "the end of the filter")


def test_a_filter_may_be_16_kb_long_and_no_longer() -> None:
    longest = f"FileName == '{'é' * ((16384 - 14) // 2)}'"
    assert len(longest.encode()) == 16384
    assert isinstance(parse(longest), Comparison)
    with pytest.raises(KedrqlError, match="longer than 16384 bytes"):
        parse(longest + " ")


@pytest.mark.parametrize(("character", "name"), [("\ud800", "D800"), ("\0", "0000")])
def test_a_character_that_stores_cannot_look_for_is_refused(character: str, name: str) -> None:
    with pytest.raises(KedrqlError, match=f"U\\+{name}") as caught:
        parse(f"FileName == '{character}'")
    assert caught.value.column == 14


SCRAPS = st.sampled_from(
    [
        *"()'\"\\*!=<>. \n&|",
        "FileName",
        "FileSize",
        "==",
        "CONTAINS",
        "NOT",
        "AND",
        "or",
        "'a'",
        "7",
    ]
)


@given(st.text() | st.lists(SCRAPS, max_size=30).map(" ".join) | st.lists(SCRAPS).map("".join))
def test_any_text_is_parsed_or_refused_with_a_place_in_it(text: str) -> None:
    error = _error(text)
    if error is not None:
        line = text.split("\n")[error.line - 1]
        assert 1 <= error.column <= len(line) + 1
        assert str(error).count("\n") == 2


def _error(text: str) -> KedrqlError | None:
    try:
        parse(text)
    except KedrqlError as error:
        return error
    return None
