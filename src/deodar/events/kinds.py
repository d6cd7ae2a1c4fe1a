"""The kinds of telemetry that products are compared by, and which of our events tell of each.

The data is `kinds.toml` beside this module. It is read by the running agent too, which notes when
it last saw each kind; so this module does not need the vocabulary.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind; see the head of kinds.toml for the fields."""

    number: int
    title: str
    weight: float
    types: tuple[str, ...]
    sources: tuple[str, ...]
    fields: tuple[str, ...] = ()
    where: dict[str, tuple[int | str, ...]] = {}
    present: tuple[str, ...] = ()

    def fits(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event of one of the types counts for this kind."""
        if not all(event.get(name) in values for name, values in self.where.items()):
            return False
        return not self.present or any(name in event for name in self.present)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    kinds: tuple[Kind, ...]


class Finder:
    """Finds the kinds that an event tells of. It is asked for every event, so it is quick."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.telling = tuple(sorted({name for kind in kinds for name in kind.where}))
        """Fields whose values tell kinds apart."""
        self._by_type: dict[str, tuple[Kind, ...]] = {}
        for kind in kinds:
            for name in kind.types:
                self._by_type[name] = (*self._by_type.get(name, ()), kind)

    def of(self, event: Mapping[str, Any]) -> list[int]:
        """Return the numbers of the kinds that an event tells of."""
        kinds = self._by_type.get(event["EventType"], ())
        return [kind.number for kind in kinds if kind.fits(event)]


def load(text: str) -> tuple[Kind, ...]:
    """Return the kinds that a TOML text describes; raises msgspec.ValidationError."""
    return msgspec.convert(tomllib.loads(text), _File).kinds


KINDS: tuple[Kind, ...] = load(Path(__file__).with_name("kinds.toml").read_text("utf-8"))
