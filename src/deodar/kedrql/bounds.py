"""Bounds on filters, held while they are read, so that no filter can exhaust the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lark.lark import PostLex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import Token

MAX_DEPTH = 64
MAX_TERMS = 500
END = "the end of the filter"


class Misuse(Exception):  # noqa: N818  never seen by a user: the parser turns it into KedrqlError
    """What is written is well formed, but means nothing: why, where, and what would do there."""

    def __init__(self, where: Token | int, reason: str, *expected: str) -> None:
        super().__init__(reason)
        self.position = where if isinstance(where, int) else where.start_pos or 0
        self.reason = reason
        self.expected = expected


class Bounds(PostLex):
    """Counts, between lexer and parser, the conditions and how deep NOTs and parentheses nest."""

    always_accept = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Yield the same tokens. Raises Misuse where a bound is passed."""
        terms = 0
        nesting = _Nesting()
        for token in stream:
            terms += token.type in ("QUOTED", "BARE")
            if terms > MAX_TERMS:
                raise Misuse(token, f"more than {MAX_TERMS} conditions")
            if nesting.after(token) > MAX_DEPTH:
                raise Misuse(token, f"more than {MAX_DEPTH} NOTs and parentheses in one another")
            yield token


class _Nesting:
    """How many NOTs and parentheses are open. A NOT is closed by the end of what it negates."""

    def __init__(self) -> None:
        self._outer: list[int] = []
        self._total = 0
        self._nots = 0

    def after(self, token: Token) -> int:
        """Return the depth after the token. Raises Misuse for a parenthesis that closes none."""
        if token.type == "NOT":
            self._nots += 1
            self._total += 1
        elif token.type == "LPAR":
            self._outer.append(self._nots)
            self._nots = 0
            self._total += 1
        elif token.type == "RPAR":
            if not self._outer:
                raise Misuse(token, "this parenthesis closes none", "AND", "OR", END)
            self._close_nots()
            self._nots = self._outer.pop()
            self._total -= 1
            self._close_nots()
        elif token.type in ("QUOTED", "BARE"):
            self._close_nots()
        return self._total

    def _close_nots(self) -> None:
        self._total -= self._nots
        self._nots = 0
