"""Checks settings: names in any case, the flat form, ranges; and puts partial ones over others.

Settings come as plain values in KESL's shape: from INI text (every value is a text then), from
JSON, from a policy. What is refused is named with its place and range, unknown names with the
nearest one. Names of KESL without a function here are passed over and reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UNSET

from deodar.tasks.errors import InvalidSetting
from deodar.tasks.schema import Setting, Shape, ignored_names, near_name, schema
from deodar.tasks.settings import FLAT, Settings
from deodar.tasks.single import line_of, printable, read_value, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.tasks.settings import Kind, Values

T = TypeVar("T", bound=Settings)

_ITEM = re.compile(r"item_([0-9]{1,6})", re.IGNORECASE)


def parse(kind: type[T], values: Mapping[str, Any], where: str = "") -> tuple[T, list[str]]:
    """Return the settings, defaults for those not given, and the names that were passed over.

    Raises InvalidSetting, which names the setting, the value and the range.
    """
    checked, ignored = normal(kind, values, where)
    return msgspec.convert(checked, kind), ignored


def normal(
    kind: Kind, values: Mapping[str, Any], where: str = "", *, edit: bool = False
) -> tuple[Values, list[str]]:
    """Return the given settings alone, with their proper names and types, and ignored names.

    With `edit`, ``item_#`` changes one of a list (`merge` does it); without, they make the list.
    Raises InvalidSetting.
    """
    reader = _Reader(where, edit=edit)
    return reader.section(kind, values, ()), reader.ignored


def values_of(settings: Settings) -> Values:
    """Return settings, defaults and all, as values in KESL's shape."""
    values: Values = msgspec.json.decode(msgspec.json.encode(settings))
    return values


def merge(base: Mapping[str, Any], partial: Mapping[str, Any]) -> Values:
    """Return the base with the partial settings over it; a list replaces the whole list.

    An object of ``item_#`` changes single items instead: the number after the last adds one, None
    takes one out. Raises InvalidSetting when there is no such item.
    """
    merged = dict(base)
    for name, value in partial.items():
        below = merged.get(name)
        if not isinstance(value, Mapping):
            merged[name] = value
        elif isinstance(below, list | tuple) or any(_ITEM.fullmatch(key) for key in value):
            merged[name] = _edited(name, below or [], value)
        else:
            merged[name] = merge(below or {}, value)
    return merged


def flatten(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return settings by dotted name; a list is one setting."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and not any(_ITEM.fullmatch(key) for key in value):
            flat |= flatten(value, f"{above}{name}.")
        else:
            flat[above + name] = value
    return flat


def nest(flat: Mapping[str, Any]) -> Values:
    """Return what `flatten` was given."""
    values: Values = {}
    for dotted, value in flat.items():
        *sections, name = dotted.split(".")
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    return values


def _edited(name: str, items: list[Any], changes: Mapping[str, Any]) -> list[Any]:
    edited: list[Any] = list(items)
    for number, change in sorted((item_number(key), change) for key, change in changes.items()):
        if number > len(edited) or (number == len(edited) and change is None):
            after = f"the next one is item_{len(edited):04d}"
            raise InvalidSetting(
                f"there is no item_{number:04d}; {after}", setting=f"{name}.item_{number:04d}"
            )
        if number == len(edited):
            edited.append({})
        edited[number] = None if change is None else merge(edited[number] or {}, change)
    return [item for item in edited if item is not None]


def item_number(key: str) -> int:
    """Return the number of ``item_#``, or -1 when it is something else."""
    found = _ITEM.fullmatch(key)
    return int(found[1]) if found else -1


class _Reader:
    """One reading of values; remembers what it passed over."""

    def __init__(self, where: str, *, edit: bool) -> None:
        self.where = where
        self.edit = edit
        self.ignored: list[str] = []

    def section(self, kind: Kind, values: object, path: tuple[str, ...]) -> Values:
        if not isinstance(values, Mapping):
            raise self._wrong("settings by name are expected", path, values)
        given: dict[str, Any] = {}
        for setting, value in self._placed(kind, values, path):
            given[setting.name] = self._value(setting, value, (*path, setting.name))
        for setting in () if self.edit else schema(kind).values():
            if setting.default is UNSET and setting.name not in given:
                raise self._wrong("it must be given", (*path, setting.name), values, show_it=False)
        return {s.name: given[s.name] for s in schema(kind).values() if s.name in given}

    def _placed(
        self, kind: Kind, values: Mapping[str, Any], path: tuple[str, ...]
    ) -> Iterator[tuple[Setting, Any]]:
        """Yield settings with values; those of the flat form inside their sections."""
        own: dict[str, Any] = {}
        flat: list[tuple[tuple[str, ...], Any]] = []
        for name, value in values.items():
            if name.casefold() in schema(kind):
                self._put(own, (schema(kind)[name.casefold()].name,), value, path)
            elif place := _flat_place(kind, name):
                flat.append((place, value))
            else:
                self._pass_over(kind, name, value, path)
        for place, value in flat:
            self._put(own, place, value, path)
        for name, value in own.items():
            yield schema(kind)[name.casefold()], value

    def _put(
        self, own: dict[str, Any], place: tuple[str, ...], value: object, path: tuple[str, ...]
    ) -> None:
        inner = own
        for section in place[:-1]:
            below = inner.get(section, {})
            if not isinstance(below, Mapping):
                raise self._twice(place, value, path)
            inner[section] = dict(below)
            inner = inner[section]
        if any(name.casefold() == place[-1].casefold() for name in inner):
            raise self._twice(place, value, path)
        inner[place[-1]] = value

    def _value(self, setting: Setting, value: object, path: tuple[str, ...]) -> Any:
        if setting.shape is Shape.SECTION and setting.inner:
            return self.section(setting.inner, value, path)
        if setting.shape is Shape.LIST and setting.inner:
            return self._list(setting, setting.inner, value, path)
        return read_value(setting, value, where=self.where, path=".".join(path))

    def _list(
        self, setting: Setting, inner: Kind, value: object, path: tuple[str, ...]
    ) -> list[Values] | dict[str, Values | None]:
        items = self._items(value, path)
        if self.edit and isinstance(value, Mapping):
            return {
                f"item_{number:04d}": None
                if item is None or item == ""
                else self.section(inner, item, (*path, f"item_{number:04d}"))
                for number, item in items
            }
        if not (setting.low or 0) <= len(items) <= (setting.high or len(items)):
            raise self._wrong(f"{setting.range} are expected, not {len(items)}", path, value)
        return [self.section(inner, item, (*path, f"item_{n:04d}")) for n, item in items]

    def _items(self, value: object, path: tuple[str, ...]) -> list[tuple[int, Any]]:
        """Return a list's items with their numbers, in order."""
        if isinstance(value, list | tuple):
            return list(enumerate(value))
        if value == "":
            return []
        if not isinstance(value, Mapping):
            raise self._wrong("a list of sections item_0000, item_0001, … is expected", path, value)
        numbered: dict[int, Any] = {}
        for key, item in value.items():
            number = item_number(key)
            if number < 0 or number in numbered:
                reason = "it is given twice" if number >= 0 else "item_0000, … is expected here"
                raise self._wrong(reason, (*path, printable(key)), item, show_it=False)
            numbered[number] = item
        return sorted(numbered.items())

    def _pass_over(self, kind: Kind, name: str, value: object, path: tuple[str, ...]) -> None:
        """Note a name of KESL without a function here; raises InvalidSetting for any other."""
        known, allowed = _ignored(kind, name)
        if not known:
            reason = f"there is no such setting{near_name(name, kind)}"
            raise self._wrong(reason, (*path, printable(name)), value, show_it=False)
        if allowed and show(value).casefold() not in {text.casefold() for text in allowed}:
            raise self._wrong(f"Deodar has only {' or '.join(allowed)}", (*path, known), value)
        self.ignored.append(".".join((*path, known)))

    def _twice(
        self, place: tuple[str, ...], value: object, path: tuple[str, ...]
    ) -> InvalidSetting:
        name = ".".join((*path, *place))
        reason = "it is given twice, or both in the flat form and in its section"
        return self._wrong(reason, (name,), value, show_it=False)

    def _wrong(
        self, reason: str, path: tuple[str, ...], value: object, *, show_it: bool = True
    ) -> InvalidSetting:
        plain = show_it and not isinstance(value, Mapping | list | tuple)
        return InvalidSetting(
            reason,
            where=self.where,
            line=line_of(value),
            setting=".".join(path),
            value=printable(show(value)) if plain else "",
        )


def _flat_place(kind: Kind, name: str) -> tuple[str, ...]:
    """Return where a name of the flat form belongs; () if it is none."""
    for known, place in FLAT.get(kind, {}).items():
        if known.casefold() == name.casefold():
            return place
    for setting in schema(kind).values():
        if setting.shape is Shape.SECTION and setting.inner:
            inner = schema(setting.inner).get(name.casefold())
            if inner:
                return (setting.name, inner.name)
    return ()


def _ignored(kind: Kind, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the proper name and allowed values of an ignored one, or ("", ())."""
    sections = [s.inner for s in schema(kind).values() if s.shape is Shape.SECTION and s.inner]
    for one in (kind, *sections):
        if found := ignored_names(one).get(name.casefold()):
            return found
    return "", ()
