"""From the text of a filter to its tree.

The grammar is `grammar.lark`; this module resolves names against the event vocabulary, types the
values, holds the bounds, and says where something is wrong.
"""

from __future__ import annotations

import difflib
import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from deodar.events import VOCABULARY, Field
from deodar.kedrql import values
from deodar.kedrql.bounds import END, Bounds, Misuse
from deodar.kedrql.errors import KedrqlError
from deodar.kedrql.expressions import And, Comparison, Expression, Not, Operator, Or, Pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BYTES = 16 * 1024
_FORBIDDEN = re.compile("[\0\ud800-\udfff]")  # ClickHouse's LIKE goes wrong on NUL

_PHRASES = {
    "FIELD": "a field name",
    "EQUAL": "an operator (==, !=, <, <=, >, >=, CONTAINS, STARTS, ENDS)",
    "MATCH": "CONTAINS, STARTS or ENDS",
    "BARE": "a value",
    "AND": "AND",
    "OR": "OR",
    "NOT": "NOT",
    "LPAR": "(",
    "RPAR": ")",
    "$END": END,
}
_QUOTED = re.compile(r"""'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*\"""")
_SAID_BY = {"EQUAL": {"UNEQUAL", "ORDER", "MATCH", "NO_MATCH", "NOT"}, "BARE": {"QUOTED"}}


class Names(Protocol):
    """The fields that a filter may name: those of the event vocabulary, or another set."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """All fields by name, from which a misspelt one is guessed."""

    def field(self, name: str) -> Field | None:
        """Return the field of that name, or None."""

    def __hash__(self) -> int:
        """A grammar is made once for each set of names."""


def parse(text: str, names: Names = VOCABULARY) -> Expression:
    """Return the tree of a filter. Raises KedrqlError that says where and what was expected."""
    _check_text(text)
    try:
        return cast("Expression", _grammar(names).parse(text))
    except Misuse as error:
        raise KedrqlError(error.reason, text, error.position, error.expected) from None
    except UnexpectedInput as error:
        raise _unexpected(error, text) from None


@dataclass(frozen=True, slots=True)
class _Value:
    """A value as written: the texts between its wildcards, and where it starts."""

    parts: tuple[str, ...]
    position: int


class _Build(Transformer[Token, Expression]):
    """Makes the tree while the parser runs. Holds no state but the names."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

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
        return Not(children[1])

    def condition(self, children: list[Token]) -> Expression:
        name, operator, value = children
        return _condition(_field(name, self._names), operator, _value(value))

    def unmatched(self, children: list[Token]) -> Expression:
        name, _, operator, value = children
        return Not(_condition(_field(name, self._names), operator, _value(value)))


def _check_text(text: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise KedrqlError(f"longer than {MAX_BYTES} bytes", text[:MAX_BYTES], 0)
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        reason = f"U+{ord(forbidden[0]):04X} cannot be part of a filter"
        raise KedrqlError(reason, text, forbidden.start())


def _field(token: Token, names: Names) -> Field:
    field = names.field(token)
    if field is None:
        reason = f"there is no field {_cut(token)}{_suggestion(token, names)}"
        raise Misuse(token, reason, _PHRASES["FIELD"])
    return field


def _suggestion(name: str, names: Names) -> str:
    """Return « (did you mean …?)» with the nearest name there is, or nothing."""
    spellings = {f.name.lower(): f.name for f in names.fields.values()}
    spellings |= {a.lower(): a for f in names.fields.values() for a in f.aliases}
    near = difflib.get_close_matches(name.lower()[:64], spellings, n=1, cutoff=0.6)
    return f" (did you mean {spellings[near[0]]}?)" if near else ""


def _value(token: Token) -> _Value:
    read = values.parts_of_quoted if token.type == "QUOTED" else values.parts_of_bare
    return _Value(read(token), token.start_pos or 0)


def _condition(field: Field, operator: Token, value: _Value) -> Expression:
    word = operator.lstrip("!").strip().upper()
    negated = operator.startswith("!")
    if field.kind == "integer":
        expression = _number_condition(field, operator, word, value)
    else:
        expression = _text_condition(field, word, value)
    return Not(expression) if negated else expression


def _number_condition(field: Field, operator: Token, word: str, value: _Value) -> Expression:
    if word in _MATCHES:
        reason = f"{word} needs a text field, but {field.name} is an integer"
        raise Misuse(operator, reason, "==", "!=", "<", "<=", ">", ">=")
    number = values.integer(value.parts[0]) if len(value.parts) == 1 else None
    if number is None:
        shown = _cut("*".join(value.parts))
        reason = f"{field.name} is an integer of 64 bits, so {shown!r} is no value for it"
        raise Misuse(value.position, reason, "an integer")
    return Comparison(field, _operator(word), number)


def _text_condition(field: Field, word: str, value: _Value) -> Expression:
    if word in _MATCHES:
        before, after = _MATCHES[word]
        return Pattern(field, values.pattern_parts((*before, *value.parts, *after)))
    operator = _operator(word)
    if len(value.parts) == 1:
        return Comparison(field, operator, value.parts[0])
    if operator == "==":
        return Pattern(field, values.pattern_parts(value.parts))
    reason = f"a wildcard cannot be used with {operator} (a star itself is written \\*)"
    raise Misuse(value.position, reason, "a value without wildcards")


def _operator(word: str) -> Operator:
    return "==" if word in ("=", "==") else cast("Operator", word)


_MATCHES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "CONTAINS": (("",), ("",)),
    "STARTS": ((), ("",)),
    "ENDS": (("",), ()),
}


def _unexpected(error: UnexpectedInput, text: str) -> KedrqlError:
    """Return the error of the parser in words, with the place."""
    position, wanted = len(text.rstrip()), set[str]()
    if isinstance(error, UnexpectedCharacters):
        position, wanted = error.pos_in_stream or 0, set(error.allowed or ())
    elif isinstance(error, UnexpectedToken):
        wanted = set(error.accepts or error.expected)
        if error.token.type != "$END":
            position = error.token.start_pos or 0
    if wanted & {"AND", "RPAR", "$END"}:
        wanted = {"AND", "OR", _closing(text[:position])}
    expected = _phrases(wanted)
    found = _found(text, position, "BARE" in wanted)
    return KedrqlError(f"{found}; expected {_listed(expected)}", text, position, expected)


def _closing(before: str) -> str:
    """Return the terminal that may end what is open: the parser's own answer is too wide."""
    plain = _QUOTED.sub("", before)
    return "RPAR" if plain.count("(") > plain.count(")") else "$END"


def _phrases(wanted: Iterable[str]) -> tuple[str, ...]:
    said = set().union(*(_SAID_BY.get(name, ()) for name in wanted))
    return tuple(phrase for name, phrase in _PHRASES.items() if name in set(wanted) - said)


def _listed(phrases: tuple[str, ...]) -> str:
    *most, last = phrases or ("something else",)
    return f"{', '.join(most)} or {last}" if most else last


def _found(text: str, position: int, value_wanted: bool) -> str:
    """Return what stands at the position, as a message says it."""
    if position >= len(text.rstrip()):
        return "the filter ends here" if text.strip() else "the filter is empty"
    rest = text[position:]
    if rest[0] in "'\"" and value_wanted:
        return (
            f"the text that begins here has no closing {rest[0]} (a backslash before it hides it)"
        )
    word = rest[0] if rest[0] in "()'\"" else rest.split()[0]
    hint = {"&&": " (write AND)", "||": " (write OR)"}.get(word[:2], "")
    return f"did not expect {_cut(word)!r}{hint}"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"


@functools.cache
def _grammar(names: Names) -> Lark:
    return Lark(
        resources.files(__package__).joinpath("grammar.lark").read_text("utf-8"),
        parser="lalr",
        lexer="contextual",
        transformer=_Build(names),
        postlex=Bounds(),
        maybe_placeholders=False,
    )


_grammar(VOCABULARY)
