"""Code is told from strings, names and comments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deodar.store.errors import QueryError
from deodar.store.lexer import scan, tokens
from deodar.store.names import quote_name, quote_text


def words(sql: str) -> list[str]:
    return [token.keyword for token in tokens(sql) if token.keyword]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT ';' -- ; \n, a", ["SELECT", ",", "A"]),
        ("select 1into /* ; /* ; */ ; */ outfile", ["SELECT", "INTO", "OUTFILE"]),
        ("a // ';\n b # ';\n c #! '\n d", ["A", "B", "C", "D"]),
        ("a#b", ["A", "#", "B"]),
        ("$$ ; $$ x $t$ $$ $t$", ["X"]),
        ("'\\';' `\\`;` \"\\\";\" x", ["X"]),
        ("‘;’ “;” x", ["X"]),
        ("''';' x", ["X"]),
        ("\ufeffselect\u00a01", ["SELECT"]),
    ],
)
def test_only_code_gives_keywords(sql: str, expected: list[str]) -> None:
    assert words(sql) == expected


@pytest.mark.parametrize("sql", ["'a", "a 'b\\'", '"', "`x", "/* /* */", "‘a"])
def test_what_is_never_closed_is_an_error(sql: str) -> None:
    with pytest.raises(QueryError, match="never closed"):
        tokens(sql)


def test_scanning_stops_before_what_follows() -> None:
    assert next(scan("INSERT 'never closed")).keyword == "INSERT"


@given(st.text())
def test_quoted_text_is_one_token(text: str) -> None:
    for quoted in (quote_text(text), quote_name(text)):
        found = tokens(f"x{quoted};")
        assert [token.text for token in found] == ["x", quoted, ";"]


@given(st.text(alphabet="a'\"`\\;-/* #$\n"))
def test_every_text_ends_in_tokens_or_an_error(text: str) -> None:
    try:
        found = tokens(text)
    except QueryError:
        return
    assert all(text[token.start : token.end] == token.text for token in found)
