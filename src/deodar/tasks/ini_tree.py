r"""Reads the lines of an INI file into sections and texts that know their lines.

What the names mean is not known here. The rules are KESL's (page 201432 of its help): sections in
brackets, ``Name=Value`` with blanks around ``=`` ignored, any order, quotes round a text with
blanks. Ours where it is silent: a comment is a whole line that begins with ``;`` or ``#``; inside
quotes ``\"`` and ``\\`` stand for a quote and a backslash; nothing may be given twice.
"""

from __future__ import annotations

import re
from typing import Any

from deodar.tasks.errors import InvalidSetting
from deodar.tasks.single import Text, printable

MAXIMUM_BYTES = 1 << 20
_DEEPEST = 8
_BLANKS = " \t\r"
_HEAD = re.compile(r"\[[ \t]*([^\[\]]*?)[ \t]*\]")
_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r'\\(["\\])')


class Node(dict[str, Any]):
    """A section: texts and sections by name as first written; found again in any case."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line
        self.headed = 0
        """Line of its heading; 0 when it is only part of another's."""
        self._names: dict[str, str] = {}

    def find(self, name: str) -> Any:
        """Return what is there under that name in any case, or None."""
        return self.get(self._names.get(name.casefold(), name))

    def put(self, name: str, value: Any) -> None:
        """Set a name that is not there yet."""
        self._names[name.casefold()] = name
        self[name] = value


def read_tree(text: str | bytes, where: str) -> Node:
    """Return a file's sections. Raises InvalidSetting, which names the line."""
    root = section = Node()
    for number, raw in enumerate(decode(text, where).split("\n"), start=1):
        line = raw.strip(_BLANKS)
        if not line or line[0] in ";#":
            continue
        try:
            if line[0] == "[":
                section = _section(root, line, number)
            else:
                _entry(section, line, number)
        except InvalidSetting as error:
            raise InvalidSetting(
                error.reason, where=where, line=number, setting=error.setting
            ) from None
    return root


def decode(text: str | bytes, where: str) -> str:
    """Return a file's text without its byte order mark.

    Raises InvalidSetting when it is too large, not UTF-8, or JSON.
    """
    if len(text) > MAXIMUM_BYTES:
        raise InvalidSetting("it is larger than 1 MB, no settings are", where=where)
    return (_utf8(text, where) if isinstance(text, bytes) else text).removeprefix("\ufeff")


def _utf8(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidSetting("it is not UTF-8 text", where=where, line=line) from None


def place(root: Node, dotted: str, value: str, line: int = 0) -> None:
    """Put a text at a dotted name below `root`. Raises InvalidSetting when it is there already."""
    *sections, name = _parts(dotted)
    section = _walk(root, sections, line)
    if (there := section.find(name)) is not None:
        before = f" (line {there.line})" if there.line else ""
        raise InvalidSetting(f"it is given twice{before}", setting=printable(dotted))
    section.put(name, Text(value, line))


def _section(root: Node, line: str, number: int) -> Node:
    found = _HEAD.fullmatch(line)
    if not found:
        raise InvalidSetting("a section is written [Name] on a line of its own")
    section = _walk(root, _parts(found[1]), number)
    if section.headed:
        raise InvalidSetting(f"this section is there already (line {section.headed})")
    section.headed = number
    return section


def _entry(section: Node, line: str, number: int) -> None:
    name, equals, value = line.partition("=")
    if not equals:
        hint = "; for JSON say so (--json)" if line[0] == "{" else ""
        raise InvalidSetting(f"Name=Value is expected{hint}")
    name = name.rstrip(_BLANKS)
    try:
        text = unquote(value.strip(_BLANKS))
    except InvalidSetting as error:
        raise InvalidSetting(error.reason, setting=printable(name)) from None
    place(section, name, text, number)


def unquote(value: str) -> str:
    """Return the text that a value stands for. Raises InvalidSetting."""
    if value.startswith('"'):
        found = _QUOTED.fullmatch(value)
        if not found:
            raise InvalidSetting("a quoted text ends with a quote, and nothing follows it")
        return _ESCAPE.sub(r"\1", found[1])
    if re.search(r"[ \t][;#]", value):
        raise InvalidSetting("a comment needs a line of its own; a text with blanks needs quotes")
    return value


def quote(text: str) -> str:
    """Return a text as a value that `unquote` takes back to it."""
    if text and not re.search(r'[\s"]', text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _walk(root: Node, names: list[str], line: int) -> Node:
    section = root
    for name in names:
        below = section.find(name)
        if below is None:
            section.put(name, Node(line))
            below = section.find(name)
        elif not isinstance(below, Node):
            raise InvalidSetting(f"{name} is a value (line {below.line}) and cannot be a section")
        section = below
    return section


def _parts(dotted: str) -> list[str]:
    parts = dotted.split(".")
    if len(parts) > _DEEPEST or not all(_PART.fullmatch(part) for part in parts):
        raise InvalidSetting("it is not the name of a setting", setting=printable(dotted))
    return parts
