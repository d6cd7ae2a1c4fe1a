"""Files in the place of a table's name: ``FROM '/etc/passwd'`` reads one in the embedded engine.

Where a table's name may stand, a string, or a quoted name that could be a path, is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from deodar.store.errors import READ_ONLY, QueryError

if TYPE_CHECKING:
    from deodar.store.lexer import Token

_BEFORE: Final = frozenset({"FROM", "JOIN", "INTO", "TABLE", "IN", "."})
_ENDS: Final = frozenset(
    {
        "WHERE",
        "PREWHERE",
        "GROUP",
        "ORDER",
        "HAVING",
        "LIMIT",
        "UNION",
        "SELECT",
        "SETTINGS",
        "FORMAT",
    }
)
_PATHLIKE: Final = frozenset("/\\*?{")


def check_table_names(found: list[Token]) -> None:
    """Raise QueryError where a table's name is a string, looks like a path, or is a parameter."""
    inside = [False]  # for each open bracket: whether a comma comes between tables here
    before = ""
    for token in found:
        word = token.keyword
        place = before in _BEFORE or (before in {",", "("} and inside[-1])
        if place and _is_file(token, before):
            raise QueryError(READ_ONLY, f"{token.text} is in a table's place; only tables can be")
        if word == "(":
            inside.append(place and before != "IN")
        elif word == ")" and len(inside) > 1:
            inside.pop()
        elif word in {"FROM", "JOIN"}:
            inside[-1] = True
        elif word in _ENDS:
            inside[-1] = False
        before = word


def _is_file(token: Token, before: str) -> bool:
    if token.kind in {"string", "heredoc"} or (token.text == "{" and before != "IN"):
        return True
    return token.kind == "name" and (bool(_PATHLIKE & set(token.name)) or _exists(token.name))


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False
