"""Tables of settings for pages of the reference, made from the settings' types."""

from __future__ import annotations

import types
import typing
from inspect import getdoc
from typing import Any, Literal

import msgspec


def common(kind: type[msgspec.Struct]) -> set[str]:
    """Return the names of a type's settings, to be left out of the tables of its subtypes."""
    return {field.name for field in msgspec.structs.fields(kind)}


def settings_table(kind: type[msgspec.Struct], without: typing.Collection[str] = ()) -> str:
    """Return a type's docstring and its settings as a table in Markdown."""
    rows = ["| setting | value | default |", "|---|---|---|"]
    hints = typing.get_type_hints(kind)
    rows += [
        f"| `{field.name}` | {_value(hints[field.name])} | {_default(field)} |"
        for field in msgspec.structs.fields(kind)
        if field.name not in without
    ]
    return f"{prose(kind)}\n\n" + "\n".join(rows) + "\n"


def module_prose(member: Any) -> str:
    """Return the docstring of the module that a function or a class is in."""
    return prose(__import__(member.__module__, fromlist=["_"]))


def prose(thing: Any) -> str:
    """Return a docstring as Markdown."""
    return (getdoc(thing) or "").replace("``", "`")


def _value(hint: Any) -> str:
    if hint is bool:
        return "true or false"
    if typing.get_origin(hint) is types.UnionType:
        return _value(typing.get_args(hint)[0])
    if typing.get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return "list of texts"
    if typing.get_origin(hint) is dict:
        return "table of texts"
    return {str: "text", int: "integer", float: "seconds"}.get(hint, "table, see below")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return "empty"
    default = field.default if field.default is not msgspec.NODEFAULT else None
    if default is None or default in ("", [], {}) or isinstance(default, msgspec.Struct):
        return "empty"
    return f"`{msgspec.json.encode(default).decode()}`"
