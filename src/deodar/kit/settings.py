"""Settings files: TOML on one side, frozen msgspec Structs on the other.

A key that no setting has is refused, with the nearest name that exists; a value of the wrong type
or out of its range is refused with the key's path. Ranges are declared on the Struct's fields with
``typing.Annotated[int, msgspec.Meta(ge=…, le=…)]``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import tomli_w

from deodar.kit.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]+)`")


def load(path: Path, kind: type[T]) -> T:
    """Return the file's settings as `kind`.

    Raises SettingsError that names the file, the key and what is allowed there.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings {path}: {error}") from error
    return parse(text, kind, where=str(path))


def parse(text: str, kind: type[T], *, where: str) -> T:
    """Return TOML text as `kind`; `where` names its origin in errors. Raises SettingsError."""
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {error}{_suggestion(str(error), kind)}") from error


def dump(value: msgspec.Struct, *, comment: str = "") -> str:
    """Return settings as TOML text that `parse` reads back to an equal value; None is left out."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + tomli_w.dumps(_without_none(msgspec.to_builtins(value)))


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def _suggestion(message: str, kind: type[msgspec.Struct]) -> str:
    """Return « (did you mean …?)» for an unknown key, or nothing."""
    found = _UNKNOWN.search(message)
    if found is None:
        return ""
    elsewhere = _names(kind) - {found["key"]}  # the same name in another table is no help
    near = difflib.get_close_matches(found["key"], sorted(elsewhere), n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def _names(kind: type[msgspec.Struct]) -> set[str]:
    names: set[str] = set()
    for field in msgspec.structs.fields(kind):
        names.add(field.encode_name)
        for inner in (field.type, *typing.get_args(field.type)):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                names |= _names(inner)
    return names
