"""Dictionaries that filters and enrichment rules ask: tables in the settings or CSV files.

A CSV file begins with the names of its columns; the first ones, as many as `keys` says, are the
key. It is read when the collector starts or reloads.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.tables import read_each

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MAX_BYTES = 64 << 20
MAX_ROWS = 1_000_000


class DictionarySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dictionary: `values` from key to value, or `file`, the name of a CSV file.

    A relative name is looked for in the collector's folder. `keys` says how many columns of the
    file make the key. A row whose key came before is an error, since one of them would be lost.
    """

    name: str
    file: str = ""
    keys: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    values: dict[str, str] = {}


@dataclass(frozen=True)
class Dictionary:
    """A table from keys to values, each as texts; `columns` are the names of the values."""

    name: str
    keys: int
    columns: tuple[str, ...]
    table: Mapping[tuple[str, ...], tuple[str, ...]]

    def single(self) -> Mapping[str, str]:
        """Return key to first value, for a dictionary with one key column."""
        return {key[0]: (value or ("",))[0] for key, value in self.table.items()}


class Dictionaries:
    """All dictionaries of a collector by name; `tables` has those with one key, for filters."""

    def __init__(self, loaded: Sequence[Dictionary]) -> None:
        self._by_name = {one.name: one for one in loaded}
        self.tables: Mapping[str, Mapping[str, str]] = MappingProxyType(
            {one.name: one.single() for one in loaded if one.keys == 1}
        )

    def get(self, name: str, *, keys: int) -> Dictionary:
        """Return a dictionary; raises RuleError when there is none or its key is another."""
        found = self._by_name.get(name)
        if found is None:
            known = ", ".join(sorted(self._by_name)) or "none"
            raise RuleError(f"there is no dictionary {name!r}; there are: {known}")
        if found.keys != keys:
            raise RuleError(f"dictionary {name}: its key has {found.keys} columns, not {keys}")
        return found


NO_DICTIONARIES = Dictionaries(())


def read(tables: Sequence[Mapping[str, Any]], where: str) -> tuple[DictionarySettings, ...]:
    """Return the settings of dictionaries; raises RuleError that names place and key."""
    found = read_each(tables, DictionarySettings, f"{where}: dictionaries", _check)
    names = [one.name for one in found]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise RuleError(f"{where}: dictionaries[{index}]: there is one named {name} before")
    return found


def _check(settings: DictionarySettings) -> None:
    if bool(settings.file) == bool(settings.values):
        raise RuleError("give either `file` or `values`")


def load(settings: Sequence[DictionarySettings], home: Path) -> Dictionaries:
    """Return the dictionaries, read from their files; raises RuleError that names file and line."""
    return Dictionaries([_load(one, home) for one in settings])


def _load(settings: DictionarySettings, home: Path) -> Dictionary:
    if settings.values:
        table: dict[tuple[str, ...], tuple[str, ...]] = {
            (key,): (value,) for key, value in settings.values.items()
        }
        return Dictionary(settings.name, 1, ("value",), table)
    path = home / settings.file
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RuleError(f"dictionary {settings.name}: {path} is larger than {MAX_BYTES} bytes")
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"dictionary {settings.name}: cannot read {path}: {error}") from error
    try:
        return _table(settings, text)
    except (ValueError, csv.Error) as error:
        raise RuleError(f"dictionary {settings.name}: {path}: {error}") from error


def _table(settings: DictionarySettings, text: str) -> Dictionary:
    rows = csv.reader(io.StringIO(text), delimiter=settings.delimiter, strict=True)
    head = tuple(name.strip() for name in next(rows, []))
    if len(head) <= settings.keys:
        raise ValueError(f"line 1: {settings.keys} columns of keys and one of values are wanted")
    table: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line, row in _filled(rows):
        if len(row) != len(head):
            raise ValueError(f"line {line}: {len(row)} columns, but the first line has {len(head)}")
        key = tuple(row[: settings.keys])
        if key in table:
            raise ValueError(f"line {line}: the key {', '.join(key)} came before")
        if len(table) >= MAX_ROWS:
            raise ValueError(f"line {line}: more than {MAX_ROWS} rows")
        table[key] = tuple(row[settings.keys :])
    return Dictionary(settings.name, settings.keys, head[settings.keys :], table)


def _filled(rows: Any) -> Iterator[tuple[int, list[str]]]:
    return ((rows.line_num, row) for row in rows if row)
