"""One value: from text or JSON to what the Struct holds, and back to text."""

from __future__ import annotations

import math
import re
from typing import Any

from deodar.tasks.errors import InvalidSetting
from deodar.tasks.schema import Setting, Shape

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,15}([.][0-9]{1,9})?")
_SWITCH = {"yes": True, "no": False}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Text(str):
    """A value as it stands in a file, with its line."""

    __slots__ = ("line",)
    line: int

    def __new__(cls, text: str, line: int = 0) -> Text:
        """Return the text with its line."""
        made = super().__new__(cls, text)
        made.line = line
        return made


def line_of(value: object) -> int:
    """Return the line in the file that a value or section came from; 0 if it is not known."""
    line = getattr(value, "line", 0)
    return line if isinstance(line, int) else 0


def read_value(setting: Setting, value: object, *, where: str, path: str) -> bool | float | str:
    """Return a value as the setting's type. Raises InvalidSetting with the range."""
    read: bool | float | str | None = _READERS[setting.shape](setting, value)
    if read is None:
        raise _wrong(setting, value, f"{setting.range} is expected", where, path)
    if isinstance(read, str) and (problem := _text_problem(setting, read)):
        raise _wrong(setting, value, problem, where, path)
    return read


def show(value: object) -> str:
    """Return a value as text, the way it stands in an INI file but without quotes."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value)


def _switch(_: Setting, value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return _SWITCH.get(value.casefold()) if isinstance(value, str) else None


def _whole(setting: Setting, value: object) -> int | None:
    if isinstance(value, str):
        value = int(value) if _WHOLE.fullmatch(value) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and _within(setting, value) else None  # type: ignore[return-value,arg-type]


def _decimal(setting: Setting, value: object) -> float | None:
    if isinstance(value, str):
        value = float(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(float(value), 9) if math.isfinite(value) and _within(setting, value) else None


def _text(_: Setting, value: object) -> str | None:
    return str(value) if isinstance(value, str) else None


_READERS: dict[Shape, Any] = {
    Shape.SWITCH: _switch,
    Shape.WHOLE: _whole,
    Shape.DECIMAL: _decimal,
    Shape.TEXT: _text,
}


def _within(setting: Setting, value: float) -> bool:
    low, high = setting.low, setting.high
    if low is not None and (value <= low if setting.above else value < low):
        return False
    return high is None or value <= high


def _text_problem(setting: Setting, text: str) -> str:
    if _CONTROL.search(text):
        return "line breaks, tabs and control characters are not allowed"
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        return "half a character (a lone surrogate) is not allowed"
    if not _within(setting, len(text)):
        return f"{setting.range} is expected"
    return setting.check(text)


def _wrong(setting: Setting, value: object, reason: str, where: str, path: str) -> InvalidSetting:
    shown = "" if setting.secret else printable(show(value))
    return InvalidSetting(reason, where=where, line=line_of(value), setting=path, value=shown)


def printable(text: str) -> str:
    """Return a text cut to 100 characters and without anything that a terminal would act on."""
    cut = text[:100] + ("…" if len(text) > 100 else "")
    return cut if cut.isprintable() else ascii(cut)[1:-1]
