"""The conversions of a normalizer file as steps: ``lower``, ``{lookup: protocol}``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deodar.columnar import steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def step(written: str | dict[str, Any], tables: Mapping[str, Mapping[str, str]]) -> steps.Step:
    """Return the step that is written so; raise ValueError with the reason if there is none."""
    if isinstance(written, str):
        name, value = written, None
    elif len(written) == 1:
        name, value = next(iter(written.items()))
    else:
        raise ValueError("a step has one name")
    if name not in _STEPS:
        raise ValueError(f"there is no step {name}; there are {', '.join(sorted(_STEPS))}")
    return _STEPS[name](value, tables)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} takes a text")  # noqa: TRY004  (the file is wrong, not the code)
    return value


def _pair(value: Any, name: str, kind: type) -> tuple[Any, Any]:
    if not (
        isinstance(value, list) and len(value) == 2 and all(isinstance(v, kind) for v in value)
    ):
        raise ValueError(f"{name} takes a list of two")
    return value[0], value[1]


def _regexp(value: Any) -> steps.Step:
    try:
        groups = re.compile(_text(value, "regexp")).groups
    except re.error as error:
        raise ValueError(f"bad regular expression: {error}") from error
    if groups < 1:
        raise ValueError("a regular expression needs a group: the result is group 1")
    return steps.Regexp(value)


def _lookup(value: Any, tables: Mapping[str, Mapping[str, str]]) -> steps.Step:
    name, default = (value, None) if isinstance(value, str) else _pair(value, "lookup", str)
    if name not in tables:
        raise ValueError(f"there is no dictionary {name}")
    return steps.Lookup(tables[name], default)


def _divide(value: Any) -> steps.Step:
    if not isinstance(value, int) or value < 1:
        raise ValueError("divide takes a whole number above 0")
    return steps.Divide(value)


_STEPS: dict[str, Callable[[Any, Mapping[str, Mapping[str, str]]], steps.Step]] = {
    "lower": lambda _value, _tables: steps.Lower(),
    "upper": lambda _value, _tables: steps.Upper(),
    "trim": lambda value, _tables: steps.Trim(value or ""),
    "replace": lambda value, _tables: steps.Replace(*_pair(value, "replace", str)),
    "regexp": lambda value, _tables: _regexp(value),
    "append": lambda value, _tables: steps.Append(_text(value, "append")),
    "prepend": lambda value, _tables: steps.Prepend(_text(value, "prepend")),
    "substring": lambda value, _tables: steps.Substring(*_pair(value, "substring", int)),
    "lookup": _lookup,
    "divide": lambda value, _tables: _divide(value),
}
