"""What a text says: one statement or several, its output format, an INSERT apart from its rows."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from deodar.store.errors import SYNTAX, QueryError
from deodar.store.lexer import Token, scan, tokens


class Insert(NamedTuple):
    """``INSERT INTO table (columns)`` with its settings, the format's name, and its rows."""

    head: str
    format: str
    data: bytes


def single(sql: str) -> str:
    """Return the one statement in `sql`, without comments and without a closing semicolon.

    Comments go so that the engine reads exactly the tokens that were looked at here. Raises
    QueryError when there are several statements, or none.
    """
    found = tokens(sql)
    while found and found[-1].keyword == ";":
        found.pop()
    if not found:
        raise QueryError(SYNTAX, "there is no statement")
    if any(token.keyword == ";" for token in found):
        raise QueryError(SYNTAX, "several statements in one text: send one, without ';' inside")
    return _joined(found)


def without_sync(sql: str) -> str:
    """Return the statement without a closing SYNC or NO DELAY, which ask to wait for a deletion."""
    if "SYNC" not in sql.upper() and "DELAY" not in sql.upper():
        return sql
    found = tokens(sql)
    words = [token.keyword for token in found]
    cut = 1 if words[-1] == "SYNC" else 2 if words[-2:] == ["NO", "DELAY"] else 0
    if cut and words[0] in {"DROP", "DETACH", "TRUNCATE"}:
        return sql[: found[-cut].start].rstrip()
    return sql


def output_format(sql: str) -> str | None:
    """Return the name after the statement's closing FORMAT, or None."""
    found = tokens(sql)
    while found and found[-1].keyword == ";":
        found.pop()
    depth = 0
    for index in range(len(found) - 1, 0, -1):
        depth += (found[index].keyword == ")") - (found[index].keyword == "(")
        if depth == 0 and found[index - 1].keyword == "FORMAT" and found[index].kind == "word":
            return found[index].text if _may_close(found[index + 1 :]) else None
    return None


def is_insert(text: bytes) -> bool:
    """Whether the text begins as an INSERT, whatever bytes follow."""
    first = next(scan(text[:4096].decode("latin-1")), None)
    return first is not None and first.keyword == "INSERT"


def split_insert(text: bytes) -> Insert | None:
    """Return an INSERT apart from the rows that follow it, or None for INSERT … SELECT.

    Rows begin behind ``FORMAT name`` and one line end, or behind VALUES. Raises QueryError when
    the statement is not UTF-8 or has an open quote.
    """
    before: Token | None = None
    # Latin-1 gives each byte one character, so places in the text are places in the bytes.
    for token in scan(text.decode("latin-1")):
        if token.keyword in {"SELECT", "WITH", "WATCH"}:
            return None
        if token.keyword == "VALUES":
            return Insert(_utf8(text[: token.start]), "Values", text[token.end :])
        if before is not None and before.keyword == "FORMAT" and token.kind == "word":
            rows = _without_line_end(text[token.end :])
            return Insert(_utf8(text[: before.start]), token.text, rows)
        before = token
    return None


def _utf8(head: bytes) -> str:
    try:
        return head.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise QueryError(SYNTAX, f"the statement is not UTF-8 at byte {error.start}") from None


def _without_line_end(data: bytes) -> bytes:
    data = data.lstrip(b" \t\f")
    return data.removeprefix(b"\r").removeprefix(b"\n")


def _joined(found: list[Token]) -> str:
    """Return the tokens as text, apart by a space where something stood between them."""
    pieces = [found[0].text]
    for before, token in pairwise(found):
        pieces.append(token.text if token.start == before.end else f" {token.text}")
    return "".join(pieces)


def _may_close(rest: list[Token]) -> bool:
    return not rest or rest[0].keyword == "SETTINGS"
