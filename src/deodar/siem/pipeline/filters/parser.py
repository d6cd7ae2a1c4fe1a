"""From the code form of a filter to its tree.

The grammar is `grammar.lark`; this module holds the bounds, and says where something is wrong and
what could have stood there.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.lark import PostLex

from deodar.siem.pipeline.errors import FilterError
from deodar.siem.pipeline.filters.conditions import Misfit, condition
from deodar.siem.pipeline.filters.expressions import And, Expression, Or, Value, negated

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 64 * 1024
MAX_DEPTH = 64
MAX_CONDITIONS = 500
_FORBIDDEN = re.compile("[\0\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(['\"\\])")

_PHRASES = {
    "FIELD": "a field",
    "COMPARE": "an operator (=, !=, <, <=, >, >=, contains, startsWith, endsWith, match, …)",
    "TEXT": "a text in quotes",
    "NUMBER": "a number",
    "LSQB": "a list in [ ]",
    "RSQB": "]",
    "COMMA": "a comma",
    "AND": "AND",
    "OR": "OR",
    "NOT": "NOT",
    "LPAR": "(",
    "RPAR": ")",
    "$END": "the end of the filter",
}


class _Stop(Exception):  # noqa: N818  turned into FilterError below
    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position, self.reason = position, reason


def parse(text: str) -> Expression:
    """Return the tree of a filter in code form; raises FilterError with the place."""
    _check_text(text)
    try:
        return cast("Expression", _grammar().parse(text))
    except _Stop as error:
        raise FilterError(error.reason, text, error.position) from None
    except UnexpectedInput as error:
        raise _unexpected(error, text) from None


def _check_text(text: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise FilterError(f"longer than {MAX_BYTES} bytes; use a dictionary", text[:MAX_BYTES], 0)
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        reason = f"U+{ord(forbidden[0]):04X} cannot be part of a filter"
        raise FilterError(reason, text, forbidden.start())


class _Bounds(PostLex):
    """Counts conditions and open parentheses between lexer and parser."""

    always_accept = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Yield the same tokens; raises _Stop where a bound is passed."""
        depth = found = 0
        for token in stream:
            depth += (token.type == "LPAR") - (token.type == "RPAR")
            found += token.type in ("COMPARE", "WORD")
            if depth > MAX_DEPTH:
                raise _Stop(_start(token), f"more than {MAX_DEPTH} parentheses in one another")
            if found > MAX_CONDITIONS:
                raise _Stop(_start(token), f"more than {MAX_CONDITIONS} conditions")
            yield token


class _Build(Transformer[Token, Any]):
    """Makes the tree while the parser runs."""

    def start(self, children: list[Expression]) -> Expression:
        return children[0]

    group = start

    def disjunction(self, children: list[Any]) -> Expression:
        terms = tuple(children[::2])
        return Or(terms) if len(terms) > 1 else terms[0]

    def conjunction(self, children: list[Any]) -> Expression:
        terms = tuple(children[::2])
        return And(terms) if len(terms) > 1 else terms[0]

    def negation(self, children: list[Any]) -> Expression:
        return negated(children[1])

    def constant(self, children: list[Token]) -> list[Token]:
        return children

    def values(self, children: list[Token | None]) -> list[Token]:
        return [child for child in children if child is not None]

    def field(self, children: list[Token]) -> Token:
        return children[0]

    def condition(self, children: list[Any]) -> Expression:
        name, word, right = children[:3]
        others = right if isinstance(right, list) else [right]
        try:
            return condition(
                str(name),
                str(word),
                str(right) if isinstance(right, Token) else [_value(item) for item in right],
                ignore_case=len(children) > 3,
            )
        except Misfit as error:
            at = others[error.index : error.index + 1] or [word]
            token = {"field": name, "operator": word, "value": at[0]}[error.part]
            raise _Stop(_start(token), error.reason) from None


def _value(token: Token) -> Value:
    if token.type == "TEXT":
        return _ESCAPE.sub(r"\1", token[1:-1])
    return float(token) if re.search(r"[.eE]", token) else int(token[:40])


def _start(token: Token) -> int:
    return token.start_pos or 0


def _unexpected(error: UnexpectedInput, text: str) -> FilterError:
    position, wanted = len(text.rstrip()), set[str]()
    if isinstance(error, UnexpectedCharacters):
        position, wanted = error.pos_in_stream or 0, set(error.allowed or ())
    elif isinstance(error, UnexpectedToken):
        wanted = set(error.accepts or error.expected)
        if error.token.type != "$END":
            position = _start(error.token)
    if wanted & {"AND", "RPAR", "$END"} and "RSQB" not in wanted:
        closes = "RPAR" if text[:position].count("(") > text[:position].count(")") else "$END"
        wanted = {"AND", "OR", closes}
    said = [phrase for name, phrase in _PHRASES.items() if name in wanted]
    expected = f"{', '.join(said[:-1])} or {said[-1]}" if len(said) > 1 else "".join(said)
    return FilterError(f"{_found(text, position)}; expected {expected}", text, position)


def _found(text: str, position: int) -> str:
    """Return what stands at the position, as a message says it."""
    if position >= len(text.rstrip()):
        return "the filter ends here" if text.strip() else "the filter is empty"
    rest = text[position:]
    if rest[0] in "'\"":
        return f"the text that begins here has no closing {rest[0]}, or stands where none can"
    if rest[0] == "$":
        return "variables ($…) belong to correlation rules, a collector has none"
    word = rest[0] if rest[0] in "()[],'" else rest.split()[0]
    hint = {"&&": " (write AND)", "||": " (write OR)", "!": " (write NOT)"}.get(
        word[:2] if word[:1] in "&|" else word[:1], ""
    )
    return f"did not expect {word[:40]!r}{hint}"


@functools.cache
def _grammar() -> Lark:
    return Lark(
        resources.files(__package__).joinpath("grammar.lark").read_text("utf-8"),
        parser="lalr",
        lexer="contextual",
        transformer=_Build(),
        postlex=_Bounds(),
        maybe_placeholders=False,
    )
