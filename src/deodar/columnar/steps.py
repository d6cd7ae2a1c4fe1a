"""Conversions of one value, as data, and the one function that applies them.

The names follow KUMA's normalizer conversions (lower, upper, trim, replace, regexp, append,
prepend, substring), with a lookup in a dictionary and the division of integers (microseconds to
milliseconds) added. Steps see only values that are not empty, and a value that becomes empty on
the way stays so. Both the interpreter and the compiled program call the functions made here, so
they cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from deodar.columnar.values import FAILED, as_float, as_integer, as_strings, as_text


class Lower(Struct, frozen=True, tag="lower"):
    """Small letters."""


class Upper(Struct, frozen=True, tag="upper"):
    """Capital letters."""


class Trim(Struct, frozen=True, tag="trim"):
    """Remove characters at both ends; white space if none are named."""

    chars: str = ""


class Replace(Struct, frozen=True, tag="replace"):
    """Replace each occurrence of a text."""

    old: str
    new: str


class Regexp(Struct, frozen=True, tag="regexp"):
    """Keep what group 1 of the first match holds; nothing if there is no match."""

    expression: str


class Append(Struct, frozen=True, tag="append"):
    """Put a text after the value."""

    text: str


class Prepend(Struct, frozen=True, tag="prepend"):
    """Put a text before the value."""

    text: str


class Substring(Struct, frozen=True, tag="substring"):
    """Keep the characters from `start` up to, not including, `end`."""

    start: int
    end: int | None = None


class Lookup(Struct, frozen=True, tag="lookup"):
    """Replace the value by its entry in a table; without an entry by `default`, else leave it."""

    table: Mapping[str, str]
    default: str | None = None


class Divide(Struct, frozen=True, tag="divide"):
    """Divide an integer, rounding down: 1000 makes milliseconds of microseconds."""

    by: int


Step = Lower | Upper | Trim | Replace | Regexp | Append | Prepend | Substring | Lookup | Divide

Convert = Callable[[Any], Any]
"""Takes a value that is not empty; returns a value, None if empty, or FAILED."""


def _lookup(step: Lookup) -> Convert:
    table, default = dict(step.table), step.default
    if default is None:
        return lambda value: table.get(value, value)
    return lambda value: table.get(value, default)


def _regexp(step: Regexp) -> Convert:
    pattern = re.compile(step.expression)

    def group_one(value: str) -> str | None:
        match = pattern.search(value)
        return match.group(1) if match else None

    return group_one


_TEXT: dict[type, Callable[[Any], Convert]] = {
    Lower: lambda _: str.lower,
    Upper: lambda _: str.upper,
    Trim: lambda s: lambda v: v.strip(s.chars or None),
    Replace: lambda s: lambda v: v.replace(s.old, s.new),
    Regexp: _regexp,
    Append: lambda s: lambda v: v + s.text,
    Prepend: lambda s: lambda v: s.text + v,
    Substring: lambda s: lambda v: v[s.start : s.end],
    Lookup: _lookup,
}

_FINAL: dict[str, Convert] = {
    "string": as_text,
    "int64": as_integer,
    "float64": as_float,
    "strings": as_strings,
}


def compile_step(step: Step) -> Convert:
    """Return the function of one step; it takes a value that is not empty."""
    if isinstance(step, Divide):
        return _divide(step.by)
    convert = _TEXT[type(step)](step)
    return lambda value: convert(as_text(value))


def _divide(by: int) -> Convert:
    def divide(value: Any) -> Any:
        number = as_integer(value)
        return number if number is FAILED else number // by

    return divide


def compile_steps(steps: tuple[Step, ...], column_type: str) -> Convert:
    """Return one function for all steps and the conversion to the column's type.

    It takes a value that is not empty and returns one of the column's type, None if nothing is
    left, or FAILED if the value cannot have that type.
    """
    functions = [compile_step(step) for step in steps] + [_FINAL[column_type]]

    def run(value: Any) -> Any:
        for function in functions:
            value = function(value)
            if value is FAILED or value is None or value == "" or value == []:
                return FAILED if value is FAILED else None
        return value

    return run
