"""The KEDR event vocabulary as values: which event types and fields there are, and what they mean.

The data is `vocabulary.toml` beside this module; its head says where the names come from. Code,
documentation, tests and the tables of the EDR log and of the SIEM are made from it.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from deodar.events.importance import Importance  # noqa: TC001  # msgspec asks for it at run time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal["string", "integer", "strings"]
Source = Literal["kata", "deodar"]
Tier = Literal["bpf", "audit", "proc", "watch", "agent"]
T = TypeVar("T")


class Field(msgspec.Struct, frozen=True):
    """One field of events.

    A dotted name is a path through nested objects. `certain` is false where a real server may
    spell the name otherwise. `values` explains the numbers of an enumeration.
    """

    name: str
    kind: Kind
    unit: str | None
    meaning: str
    source: Source
    certain: bool
    group: str
    aliases: tuple[str, ...] = ()
    values: tuple[tuple[int, str], ...] = ()

    @property
    def path(self) -> tuple[str, ...]:
        """Return the keys that lead to the value in an event."""
        return tuple(self.name.split("."))


class EventType(msgspec.Struct, frozen=True):
    """One type of event and the names of all fields that it may carry, the common ones first."""

    name: str
    title: str
    meaning: str
    fields: tuple[str, ...]
    linux: bool
    extension: bool
    importance: Importance
    aliases: tuple[str, ...] = ()
    tiers: tuple[Tier, ...] = ()
    """What on a Linux endpoint can give it, best first."""


class Group(msgspec.Struct, frozen=True):
    """Fields that belong together, under a title for readers and perhaps a note."""

    name: str
    title: str
    note: str
    fields: tuple[str, ...]


class Vocabulary:
    """All event types and fields. Immutable; `VOCABULARY` is the one that Deodar uses."""

    def __init__(self, groups: Iterable[Group], fields: Iterable[Field], raw: _Raw) -> None:
        self.groups: Mapping[str, Group] = MappingProxyType({group.name: group for group in groups})
        self.fields: Mapping[str, Field] = MappingProxyType({field.name: field for field in fields})
        self.common: tuple[str, ...] = _names_of(self.groups, raw.common)
        self.required: tuple[str, ...] = raw.required
        self.types: Mapping[str, EventType] = MappingProxyType(
            {name: self._type(name, data) for name, data in raw.types.items()}
        )
        self._by_name = _lookup((f.name, f.aliases, f) for f in self.fields.values())
        self._by_type = _lookup((t.name, t.aliases, t) for t in self.types.values())

    def field(self, name: str) -> Field | None:
        """Return the field of that name or alias in any case, or None."""
        return self._by_name.get(name.lower())

    def type(self, name: str) -> EventType | None:
        """Return the event type of that name or alias in any case, or None."""
        return self._by_type.get(name.lower())

    def _type(self, name: str, data: _RawType) -> EventType:
        own = _names_of(self.groups, data.groups) + data.fields
        return EventType(
            name=name,
            title=data.title,
            meaning=data.meaning,
            fields=tuple(dict.fromkeys(self.common + own)),
            linux=data.linux,
            extension=data.extension,
            importance=data.importance,
            aliases=data.aliases,
            tiers=data.tiers,
        )


def load(text: str) -> Vocabulary:
    """Return the vocabulary that a TOML text describes.

    Raises msgspec.ValidationError for a wrong shape and ValueError for names that clash or that
    nothing defines.
    """
    raw = msgspec.convert(tomllib.loads(text), _Raw)
    groups = [Group(name, g.title, g.note, tuple(g.fields)) for name, g in raw.groups.items()]
    fields = [
        _field(name, group_name, data)
        for group_name, group in raw.groups.items()
        for name, data in group.fields.items()
    ]
    vocabulary = Vocabulary(groups, fields, raw)
    _refuse_undefined(vocabulary)
    return vocabulary


class _RawField(msgspec.Struct, forbid_unknown_fields=True):
    meaning: str
    kind: Kind = "string"
    unit: str | None = None
    source: Source = "kata"
    certain: bool = False
    aliases: tuple[str, ...] = ()
    values: tuple[tuple[int, str], ...] = ()


class _RawGroup(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    fields: dict[str, _RawField]
    note: str = ""


class _RawType(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    meaning: str
    importance: Importance
    linux: bool
    groups: tuple[str, ...]
    extension: bool = False
    fields: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    tiers: tuple[Tier, ...] = ()


class _Raw(msgspec.Struct, forbid_unknown_fields=True):
    common: tuple[str, ...]
    required: tuple[str, ...]
    groups: dict[str, _RawGroup]
    types: dict[str, _RawType]


def _field(name: str, group: str, raw: _RawField) -> Field:
    return Field(
        name=name,
        kind=raw.kind,
        unit=raw.unit,
        meaning=raw.meaning,
        source=raw.source,
        certain=raw.certain,
        group=group,
        aliases=raw.aliases,
        values=raw.values,
    )


def _names_of(groups: Mapping[str, Group], names: Iterable[str]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in groups]
    if unknown:
        raise ValueError(f"no such group: {unknown[0]}")
    return tuple(field for name in names for field in groups[name].fields)


def _lookup(entries: Iterable[tuple[str, tuple[str, ...], T]]) -> dict[str, T]:
    found: dict[str, T] = {}
    for name, aliases, value in entries:
        for spelling in (name, *aliases):
            if found.setdefault(spelling.lower(), value) is not value:
                raise ValueError(f"two things are named {spelling}")
    return found


def _refuse_undefined(vocabulary: Vocabulary) -> None:
    used = {name for kind in vocabulary.types.values() for name in kind.fields}
    undefined = sorted((used | set(vocabulary.required)) - set(vocabulary.fields))
    if undefined:
        raise ValueError(f"no such field: {', '.join(undefined)}")


VOCABULARY: Vocabulary = load(
    resources.files(__package__).joinpath("vocabulary.toml").read_text("utf-8")
)
