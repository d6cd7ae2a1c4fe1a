"""A normalizer file as it is written: its parts, and the line of each.

Errors of the file are told with the line, so the YAML is read twice: once as values, once for the
marks.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

from deodar.siem.normalizers.errors import NormalizerError

Key = tuple[str | int, ...]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a mapping: which fields (the first with a value) go where, and how."""

    to: str
    source: str | tuple[str, ...] = msgspec.field(name="from")
    label: str = ""
    steps: tuple[str | dict[str, Any], ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The paths of the line, best first."""
        return (self.source,) if isinstance(self.source, str) else self.source


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines for some event types, or for all. ``names`` gives a Name to each event type."""

    title: str = ""
    when: tuple[str, ...] = ()
    names: dict[str, str] = {}
    constants: dict[str, str | int | float] = {}
    mapping: tuple[Line, ...] = ()


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole normalizer file."""

    name: str
    sections: tuple[Section, ...]
    title: str = ""
    description: str = ""
    keep_raw: str = "never"
    save_extra: bool = True
    kinds: dict[str, str] = {}
    dictionaries: dict[str, dict[str, str]] = {}


class Source:
    """The text of a normalizer, and where in it each part is."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self._lines: dict[Key, int] = {}
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if node is not None:
                self._mark(node, ())
            self._value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise self._yaml_error(error) from error

    def document(self) -> Document:
        """Return the file's parts; raise NormalizerError with the line if it has another shape."""
        value = self._value
        if isinstance(value, dict) and isinstance(value.get("dictionaries"), dict):
            value = value | {"dictionaries": _texts(value["dictionaries"])}
        try:
            return msgspec.convert(value, Document)
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(" - at `")
            raise self.error(_key(path.rstrip("`")), reason) from error

    def error(self, key: Key, reason: str) -> NormalizerError:
        """Return the error for a part of the file."""
        return NormalizerError(f"{self.file}, line {self.line(key)}: {reason}")

    def line(self, key: Key) -> int:
        """Return the line of a part, or of the nearest part around it."""
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)

    def _mark(self, node: yaml.Node, key: Key) -> None:
        self._lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._mark(item, (*key, index))
        elif isinstance(node, yaml.MappingNode):
            for name, item in node.value:
                self._mark_entry(name, item, key)

    def _mark_entry(self, name: yaml.Node, item: yaml.Node, key: Key) -> None:
        below = (*key, str(name.value))
        if below in self._lines:
            line = name.start_mark.line + 1
            raise NormalizerError(f"{self.file}, line {line}: {name.value} is there twice")
        self._lines[below] = name.start_mark.line + 1
        self._mark(item, below)

    def _yaml_error(self, error: yaml.YAMLError) -> NormalizerError:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        return NormalizerError(f"{self.file}, line {mark.line + 1 if mark else 1}: {reason}")


def _texts(dictionaries: dict[Any, Any]) -> dict[Any, Any]:
    """Return the dictionaries with keys and values as text: YAML reads 6 and TCP differently."""
    return {
        name: {str(k): str(v) for k, v in table.items()} if isinstance(table, dict) else table
        for name, table in dictionaries.items()
    }


def _key(path: str) -> Key:
    parts = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path)
    return tuple(int(index) if index else name for name, index in parts)
