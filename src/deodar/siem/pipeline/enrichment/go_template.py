"""A safe part of Go's templates: fields, texts, a few functions in pipes; no loops, no conditions.

``{{.SourceAddress}}`` is what the field holds, ``{{.Extra.Key}}`` or ``{{index .Extra "Key"}}`` an
entry of a map. A function's last argument may come through a pipe: ``{{.Name | lower}}`` and
``{{lower .Name}}`` are the same. ``{{-`` and ``-}}`` take the white space beside them away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from deodar.columnar.values import as_text
from deodar.siem.pipeline.fields import MAPS, FieldRef, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    Part: TypeAlias = "str | FieldRef | Call"

MAX_LENGTH = 4000
MAX_PARTS = 100
_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<field>\.[^\W\d]\w*(?:\.[\w-]+)*)|(?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
    |(?P<number>\d{1,9})|(?P<word>[A-Za-z]+)|(?P<pipe>\|))""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Function:
    """A function of templates: how many arguments it has, with the piped one as the last."""

    arguments: int
    summary: str
    call: Callable[..., str]


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "lower": Function(1, "small letters", str.lower),
        "upper": Function(1, "capital letters", str.upper),
        "trim": Function(1, "without white space at both ends", str.strip),
        "default": Function(2, "the first, if the second is empty", lambda d, v: v or d),
        "replace": Function(3, "each first by the second", lambda a, b, v: v.replace(a, b)),
        "trunc": Function(2, "so many characters at most", lambda n, v: v[: int(n)]),
    }
)


@dataclass(frozen=True)
class Call:
    """A function with its arguments."""

    function: Function
    arguments: tuple[Part, ...]


class Template:
    """A template that was read; `fields` are those that it needs, in the order of `render`."""

    def __init__(self, text: str) -> None:
        """Raises ValueError that says at which character what is wrong."""
        if len(text) > MAX_LENGTH:
            raise ValueError(f"a template has at most {MAX_LENGTH} characters")
        self._parts = _parts(text)
        found: dict[str, FieldRef] = {}
        _collect(self._parts, found)
        self.fields = tuple(found.values())

    def render(self, values: Sequence[object]) -> str:
        """Return the text for the values of `fields`."""
        texts = {ref.name: as_text(value) for ref, value in zip(self.fields, values, strict=True)}
        return "".join(_text(part, texts) for part in self._parts)


def _collect(parts: Sequence[Part], found: dict[str, FieldRef]) -> None:
    for part in parts:
        if isinstance(part, FieldRef):
            found[part.name] = part
        elif isinstance(part, Call):
            _collect(part.arguments, found)


def _text(part: Part, texts: Mapping[str, str]) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, FieldRef):
        return texts[part.name]
    return part.function.call(*(_text(one, texts) for one in part.arguments))


def _parts(text: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    end, trims = 0, False
    for action in _ACTION.finditer(text):
        before = text[end : action.start()]
        _refuse_braces(before, end)
        before = before.lstrip() if trims else before
        parts += [before.rstrip() if action[1] else before, _action(action[2], action.start(2))]
        end, trims = action.end(), bool(action[3])
        if len(parts) > 2 * MAX_PARTS:
            raise ValueError(f"character {end}: more than {MAX_PARTS} actions")
    rest = text[end:]
    _refuse_braces(rest, end)
    return (*parts, rest.lstrip() if trims else rest)


def _refuse_braces(text: str, start: int) -> None:
    found = re.search(r"\{\{|\}\}", text)
    if found:
        at = start + found.start() + 1
        raise ValueError(f"character {at}: {found[0]} stands alone")


class _Words:
    """The words of one action."""

    def __init__(self, text: str, start: int) -> None:
        self._text, self._start, self._at = text, start, 0

    def next(self) -> tuple[str, str]:
        """Return the kind and the text of the next word, ("", "") at the end."""
        if not self._text[self._at :].strip():
            return "", ""
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise self.error(f"{self._text[self._at :].strip()[:20]!r} is not understood")
        self._at = found.end()
        return found.lastgroup or "", found[found.lastgroup or 0]

    def error(self, reason: str) -> ValueError:
        """Return the error at this place."""
        return ValueError(f"character {self._start + self._at + 1}: {reason}")


def _action(text: str, start: int) -> Part:
    words = _Words(text, start)
    piped: Part | None = None
    while True:
        piped, ends = _command(words, piped)
        if ends:
            return piped


def _command(words: _Words, piped: Part | None) -> tuple[Part, bool]:
    """Read up to the next pipe; return what it gives, and whether the action ends there."""
    items: list[tuple[str, str]] = []
    kind, word = words.next()
    while kind not in ("", "pipe"):
        items.append((kind, word))
        kind, word = words.next()
    if not items:
        raise words.error("a field, a text or a function is wanted")
    return _made(words, items, piped), kind == ""


def _made(words: _Words, items: list[tuple[str, str]], piped: Part | None) -> Part:
    kind, word = items[0]
    if kind != "word":
        if len(items) > 1 or piped is not None:
            raise words.error(f"{word} is no function and takes nothing")
        return _operand(words, kind, word)
    if word == "index":
        return _entry(words, items[1:])
    function = FUNCTIONS.get(word)
    if function is None:
        raise words.error(f"there is no function {word}; there are index, {', '.join(FUNCTIONS)}")
    arguments = [_operand(words, *item) for item in items[1:]]
    arguments += [] if piped is None else [piped]
    if len(arguments) != function.arguments:
        raise words.error(f"{word} takes {function.arguments} arguments, not {len(arguments)}")
    if word == "trunc" and items[1][0] != "number":
        raise words.error("trunc takes a number first")
    return Call(function, tuple(arguments))


def _operand(words: _Words, kind: str, word: str) -> Part:
    if kind == "field":
        return _field(words, word[1:])
    if kind == "text":
        return _literal(word)
    if kind == "number":
        return word
    raise words.error(f"{word} stands where a field or a text is wanted")


def _literal(word: str) -> str:
    return word[1:-1] if word[0] == "`" else re.sub(r"\\(.)", r"\1", word[1:-1])


def _entry(words: _Words, items: list[tuple[str, str]]) -> FieldRef:
    kinds = [kind for kind, _ in items]
    if kinds != ["field", "text"] or items[0][1][1:] not in MAPS:
        raise words.error('index takes a map and a key, as in {{index .Extra "Key"}}')
    return _field(words, f"{items[0][1][1:]}.{_literal(items[1][1])}")


def _field(words: _Words, name: str) -> FieldRef:
    try:
        return field(name)
    except ValueError as error:
        raise words.error(str(error)) from error
