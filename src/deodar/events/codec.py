"""Events as JSON: read, write, look up a field, and check against the vocabulary.

The form is that of the KATA events API: one JSON object per event; a field with a dotted name is
nested (`Ioa.Rules.Name` is the key `Name` of each object in the list `Rules` of the object `Ioa`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from deodar.events.errors import EventError
from deodar.events.vocabulary import VOCABULARY, Kind

Event = dict[str, Any]

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


class Problem(NamedTuple):
    """What is wrong with an event, and at which path (`Ioa.Rules[0].Name`)."""

    path: str
    reason: str


def decode(data: bytes) -> Event:
    """Return the event that the JSON text holds. Raises EventError if it holds no JSON object."""
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise EventError("", f"not valid JSON: {error}") from error
    if not isinstance(event, dict):
        raise EventError("", f"expected a JSON object, got {_name(event)}")
    return event


def encode(event: Event) -> bytes:
    """Return the event as one line of JSON, without the line feed.

    Raises EventError for what JSON cannot hold: other types, integers beyond 64 bits, lone
    surrogates.
    """
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError as error:
        raise EventError("", f"cannot be written as JSON: {error}") from error


def value(event: Event, name: str) -> Any:
    """Return what the field of that exact name holds, or None if the event has no such field.

    Lists on the way of a dotted name are flattened: `Ioa.Rules.Techniques` gives the techniques
    of all rules in one list.
    """
    if "." not in name:
        return event.get(name)
    found: Any = event
    for key in _path(name):
        found = _step(found, key)
        if found is None:
            return None
    return found


def check(event: Event) -> list[Problem]:
    """Return all that contradicts the vocabulary; an empty list means that the event is good.

    Looked at: required fields, the event type, the type of each known field, and the range of
    integers (64 bits, signed). A null counts as absent. Fields that the vocabulary does not know
    are left alone.
    """
    problems = [
        Problem(name, "missing, but every event needs it")
        for name in VOCABULARY.required
        if event.get(name) is None
    ]
    kind = event.get("EventType")
    if isinstance(kind, str) and kind not in VOCABULARY.types:
        problems.append(Problem("EventType", _unknown_type(kind)))
    for key, found in event.items():
        if found is not None:
            _check_key(key, found, problems)
    return problems


@lru_cache(maxsize=1024)
def _path(name: str) -> tuple[str, ...]:
    return tuple(name.split("."))


def _step(found: Any, key: str) -> Any:
    """Return what `key` leads to from an object, or from each object of a list."""
    if isinstance(found, dict):
        return found.get(key)
    if not isinstance(found, list):
        return None
    gathered: list[Any] = []
    for item in found:
        below = item.get(key) if isinstance(item, dict) else None
        if isinstance(below, list):
            gathered += below
        elif below is not None:
            gathered.append(below)
    return gathered


def _unknown_type(kind: str) -> str:
    meant = VOCABULARY.type(kind)
    hint = f"; it is written {meant.name!r}" if meant else ""
    return f"no event type is named {kind[:64]!r}{hint}"


def _nested_kinds() -> tuple[dict[str, Kind], frozenset[str]]:
    """Return the kind at the end of each dotted path, and the paths of the objects before it."""
    dotted = [field for field in VOCABULARY.fields.values() if "." in field.name]
    objects = {
        ".".join(field.path[:length]) for field in dotted for length in range(1, len(field.path))
    }
    return {field.name: field.kind for field in dotted}, frozenset(objects)


_FLAT: dict[str, Kind] = {
    field.name: field.kind for field in VOCABULARY.fields.values() if "." not in field.name
}
_NESTED, _OBJECTS = _nested_kinds()
_LISTS = frozenset({"Ioa.Rules"})


def _check_key(key: Any, found: Any, problems: list[Problem]) -> None:
    if type(key) is not str:
        problems.append(Problem(repr(key), f"a field name must be a string, not {_name(key)}"))
    elif key in _FLAT:
        _check_value(_FLAT[key], found, key, problems)
    elif key in _OBJECTS:
        _check_object(key, found, key, problems)


def _check_value(kind: Kind, found: Any, where: str, problems: list[Problem]) -> None:
    if kind == "integer":
        if type(found) is not int:
            problems.append(Problem(where, f"expected an integer, got {_name(found)}"))
        elif not INT64_MIN <= found <= INT64_MAX:
            problems.append(Problem(where, f"{found} does not fit into 64 bits, signed"))
    elif type(found) is not str:
        problems.append(Problem(where, f"expected a string, got {_name(found)}"))
    elif not _is_unicode(found):
        problems.append(Problem(where, "a lone surrogate is not valid Unicode"))


def _check_object(path: str, found: Any, where: str, problems: list[Problem]) -> None:
    """Check the object at `path` of the vocabulary, which is at `where` of the event."""
    if not isinstance(found, dict):
        problems.append(Problem(where, f"expected an object, got {_name(found)}"))
        return
    for key, below in found.items():
        if below is not None:
            _check_below(f"{path}.{key}", below, f"{where}.{key}", problems)


def _check_below(path: str, found: Any, where: str, problems: list[Problem]) -> None:
    kind = _NESTED.get(path)
    if path in _LISTS:
        _check_list(path, found, where, problems)
    elif path in _OBJECTS:
        _check_object(path, found, where, problems)
    elif kind == "strings" and isinstance(found, list):
        for index, item in enumerate(found):
            _check_value("string", item, f"{where}[{index}]", problems)
    elif kind is not None:
        _check_value(kind, found, where, problems)


def _check_list(path: str, found: Any, where: str, problems: list[Problem]) -> None:
    if not isinstance(found, list):
        problems.append(Problem(where, f"expected a list of objects, got {_name(found)}"))
        return
    for index, item in enumerate(found):
        _check_object(path, item, f"{where}[{index}]", problems)


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(found: Any) -> str:
    """Return the JSON name of a value's type, as a message says it."""
    names = {
        "NoneType": "null",
        "bool": "a boolean",
        "int": "an integer",
        "float": "a number with a fraction",
        "str": "a string",
        "list": "a list",
        "dict": "an object",
    }
    return names.get(type(found).__name__, type(found).__name__)
