"""Values of events that do not keep to their types: tolerant decoding and coercion.

What is coerced: text of digits to an integer, an integral float to an integer, a boolean to 0 or
1; anything to text, where objects and lists become compact JSON. What cannot be coerced is
FAILED, and the caller keeps the original in ``Extra``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from deodar.columnar.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

MAX_DEPTH: Final = 64
"""How many levels of objects and lists the value of a field may have."""

_DIGITS = re.compile(r"\s*[+-]?[0-9]{1,19}\s*\Z", re.ASCII)


class Failed:
    """The type of FAILED."""

    def __repr__(self) -> str:
        return "FAILED"


FAILED: Final = Failed()
"""Stands for a value that cannot be converted."""


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def decode(raw: bytes) -> Any:
    """Return the JSON value of a text; raise Refused with the reason if it has none.

    Refused are invalid UTF-8, invalid JSON, nesting that is too deep, and half surrogates, which no
    column could hold.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("", f"invalid UTF-8 at byte {error.start}") from error
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise Refused("", "nested too deep") from error
    except ValueError as error:
        raise Refused("", f"invalid JSON: {error}") from error
    if "\\ud" in text or "\\uD" in text:
        _refuse_half_pairs(value)
    return value


def _refuse_half_pairs(value: Any) -> None:
    try:
        check_text(value, "")
    except RecursionError as error:
        raise Refused("", "nested too deep") from error


def decode_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a text; raise Refused if it is none, or a field is too deep."""
    value = decode(raw)
    if not isinstance(value, dict):
        raise Refused("", f"not a JSON object but {_json_name(value)}")
    for name, field in value.items():
        if is_too_deep(field):
            raise Refused(name, f"nested deeper than {MAX_DEPTH} levels")
    return value


def decode_field(raw: bytes) -> Any:
    """Return the JSON value of one field; raise Refused if it has none, or if it is too deep."""
    value = decode(raw)
    if is_too_deep(value):
        raise Refused("", f"nested deeper than {MAX_DEPTH} levels")
    return value


def is_too_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """True if objects and lists are nested in the value more deeply than so many levels."""
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    items = value.values() if isinstance(value, dict) else value
    return any(is_too_deep(item, levels - 1) for item in items)


def _json_name(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def check_text(value: Any, path: str) -> None:
    """Raise Refused if a text anywhere inside the value has half a surrogate pair."""
    if isinstance(value, str):
        if not _encodable(value):
            raise Refused(path, "half of a surrogate pair in a text")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key, path)
            check_text(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_text(item, f"{path}.{index}" if path else str(index))


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_empty(value: Any) -> bool:
    """True for null, "" and an empty list: what never fills a column."""
    return not value and (value is None or value == "" or value == [])


def as_text(value: Any) -> str:
    """Return the text of a value: a list of texts is joined, anything else becomes JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return as_json(value)


def as_json(value: Any) -> str:
    """Return the compact JSON text of a value."""
    if type(value) is int:
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_kept(value: Any) -> str:
    """Return the text of a value in ``Extra``: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else as_json(value)


def as_integer(value: Any) -> Any:
    """Return the value as an int64, or FAILED."""
    if isinstance(value, str):
        if not _DIGITS.match(value):
            return FAILED
        value = int(value)
    elif isinstance(value, float):
        if not value.is_integer():
            return FAILED
        value = int(value)
    elif not isinstance(value, int):
        return FAILED
    return int(value) if INT64_MIN <= value <= INT64_MAX else FAILED


def as_float(value: Any) -> Any:
    """Return the value as a finite float64, or FAILED."""
    if not isinstance(value, str | int | float):
        return FAILED
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return FAILED
    return number if abs(number) < float("inf") else FAILED


def as_strings(value: Any) -> Any:
    """Return the value as a list of texts: one text for each element that is not empty."""
    items = value if isinstance(value, list) else [value]
    return [as_text(item) for item in items if not is_empty(item)]


COERCE = {"string": as_kept, "integer": as_integer, "float": as_float, "strings": as_strings}
"""The coercion for each kind of source field."""


def walk(value: Any, parts: Iterable[str]) -> Any:
    """Return what a dotted path finds inside a value, None if nothing.

    A number picks one element of a list; any other name goes through all elements, and what they
    give is joined in one list.
    """
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal():
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, list):
            value = _flat(walk(item, (part,)) for item in value)
        else:
            return None
    return value


def _flat(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if isinstance(item, list):
            found.extend(item)
        elif item is not None:
            found.append(item)
    return found
