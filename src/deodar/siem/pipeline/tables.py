"""Reading lists of tables of a settings file as typed values, with errors that say which table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from deodar.kit.errors import SettingsError
from deodar.siem.pipeline.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Named(Protocol):
    """Settings that have a name."""

    @property
    def name(self) -> str:
        """What users call it."""


T = TypeVar("T", bound=Named)


def read_each(
    tables: Sequence[Mapping[str, Any]], kind: type[T], place: str, check: Callable[[T], object]
) -> tuple[T, ...]:
    """Return the tables as values of a type; `check` raises SettingsError for what it refuses.

    Raises RuleError that names the place, such as "collector.toml: filters", and the table.
    """
    found: list[T] = []
    for index, table in enumerate(tables):
        try:
            one = msgspec.convert(dict(table), kind)
        except msgspec.ValidationError as error:
            raise RuleError(f"{place}[{index}]: {error}") from error
        try:
            check(one)
        except SettingsError as error:
            raise RuleError(f"{place}[{index}] ({one.name}): {error}") from error
        found.append(one)
    return tuple(found)
