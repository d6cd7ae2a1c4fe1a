"""Just enough of ClickHouse's lexical rules to look at a statement before it is run.

Strings, quoted names, heredocs and comments are told apart from code, so that a keyword inside a
string is not taken for one. Facts: the lexer of ClickHouse (comments ``--``, ``//``, ``#!``,
``# ``, nested ``/* */``; quotes with a backslash or doubled; heredocs ``$tag$ … $tag$``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from deodar.store.errors import SYNTAX, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A number takes no letters with it (0x1F is two tokens here): so no keyword can hide behind one.
_TOKEN: Final = re.compile(
    r"""
    (?P<space>   [\s\0\ufeff\u180e\u200b-\u200d\u2060]++ )
  | (?P<comment> --[^\n]*+ | //[^\n]*+ | \#(?=[ !])[^\n]*+ )
  | (?P<block>   /\* )
  | (?P<string>  '(?:[^'\\]++|\\.|'')*+' | ‘[^’]*+’ )
  | (?P<name>    `(?:[^`\\]++|\\.|``)*+` | "(?:[^"\\]++|\\.|"")*+" | “[^”]*+” )
  | (?P<heredoc> (?P<tag>\$[A-Za-z0-9_]*+\$) .*? (?P=tag) )
  | (?P<word>    [A-Za-z_$][A-Za-z0-9_$]*+ )
  | (?P<number>  [0-9]++(?:\.[0-9]*+)? )
  | (?P<bad>     ['"`‘“] )
  | (?P<sign>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK: Final = re.compile(r"/\*|\*/")
_SKIPPED: Final = frozenset({"space", "comment", "block"})


class Token(NamedTuple):
    """One piece of a statement; `kind` is word, string, name, heredoc, number or sign."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The word in capitals, or the sign; empty for strings, numbers and quoted names."""
        return self.text.upper() if self.kind in {"word", "sign"} else ""

    @property
    def name(self) -> str:
        """The identifier that a word or a quoted name stands for; empty for anything else."""
        if self.kind == "name":
            return self.text[1:-1]
        return self.text if self.kind == "word" else ""


def tokens(sql: str) -> list[Token]:
    """Return the statement's tokens without spaces and comments.

    Raises QueryError when a quote or a comment is never closed.
    """
    return list(scan(sql))


def scan(sql: str) -> Iterator[Token]:
    """Yield the tokens one by one, so that a caller may stop before data that follows."""
    place = 0
    while place < len(sql):
        kind, end = _next(sql, place)
        if kind not in _SKIPPED:
            yield Token(kind, sql[place:end], place, end)
        place = end


def _next(sql: str, place: int) -> tuple[str, int]:
    match = _TOKEN.match(sql, place)
    if match is None or match.lastgroup in {None, "bad"}:
        raise QueryError(SYNTAX, f"the quote at character {place + 1} is never closed")
    if match["block"]:
        return "block", _block_end(sql, place)
    return str("heredoc" if match["heredoc"] else match.lastgroup), match.end()


def _block_end(sql: str, start: int) -> int:
    depth = 0
    for match in _BLOCK.finditer(sql, start):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    raise QueryError(SYNTAX, f"the comment at character {start + 1} is never closed")
