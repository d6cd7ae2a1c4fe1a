"""A look-up: the values of some fields are the key into a dictionary, a field gets its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from deodar.columnar.values import as_text
from deodar.siem.pipeline.enrichment.base import (
    Enricher,
    Kind,
    RuleSettings,
    Surroundings,
    source,
    target,
)
from deodar.siem.pipeline.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.siem.pipeline.dictionaries import Dictionary
    from deodar.siem.pipeline.enrichment.base import Answer, Key
    from deodar.siem.pipeline.fields import FieldRef


class DictionarySettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`keys` are the fields whose values are looked for in `dictionary`, in its order of columns.

    The value is that of `column`, if the dictionary has several (empty: its first). An event whose
    key is not there gets `missing`, or keeps what it has if that is not set.
    """

    target: str
    dictionary: str
    keys: Annotated[list[str], msgspec.Meta(min_length=1, max_length=8)]
    column: str = ""
    missing: str | None = None


class Lookup(Enricher):
    """Answers from a dictionary."""

    def __init__(self, settings: DictionarySettings, dictionary: Dictionary) -> None:
        super().__init__(*_fields(settings))
        column = settings.column or dictionary.columns[0]
        if column not in dictionary.columns:
            known = ", ".join(dictionary.columns)
            raise RuleError(f"column: dictionary {dictionary.name} has {known}, no {column!r}")
        self._table, self._column = dictionary.table, dictionary.columns.index(column)
        self._missing = None if settings.missing is None else (settings.missing,)

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return the dictionary's values."""
        return [self._answer(tuple(map(as_text, key))) for key in keys]

    def _answer(self, key: tuple[str, ...]) -> Answer:
        found = self._table.get(key)
        return self._missing if found is None else (found[self._column],)


def _fields(settings: DictionarySettings) -> tuple[list[FieldRef], list[FieldRef]]:
    return [source(name, "keys") for name in settings.keys], [target(settings.target)]


def open_dictionary(settings: DictionarySettings, around: Surroundings) -> Enricher:
    """Return the enricher."""
    found = around.dictionaries.get(settings.dictionary, keys=len(settings.keys))
    return Lookup(settings, found)


KIND = Kind("dictionary", "a look-up by fields", DictionarySettings, open_dictionary, _fields)
