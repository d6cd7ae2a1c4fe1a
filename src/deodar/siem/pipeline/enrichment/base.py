"""What an enrichment rule is: settings, and an enricher that answers questions about values.

A rule looks at some fields of the events that meet its filter, asks its enricher once for each
distinct combination of their values, and writes the answers into its target fields.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.siem.pipeline.dictionaries import NO_DICTIONARIES, Dictionaries
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.fields import FieldRef
from deodar.siem.pipeline.fields import field as field_named
from deodar.siem.storage.model import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from deodar.columnar.values import Failed

    Key = tuple[Any, ...]
    Answer = tuple[Any, ...] | Failed | None

_TARGETS = ("Timestamp", "SpaceID", "Extra", "TI")
"""Fields that a collector sets, but that a rule may change."""


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every enrichment rule has. `filter` says which events it is for, empty for all."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    kind: str
    filter: str = ""
    description: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    enabled: bool = True


class Enricher(ABC):
    """Answers for the values of `reads` what the fields `targets` shall hold."""

    def __init__(self, reads: Sequence[FieldRef], targets: Sequence[FieldRef]) -> None:
        self.reads = tuple(reads)
        self.targets = tuple(targets)

    @abstractmethod
    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return for each combination of values one value for each target.

        None, for a target or as a whole, leaves what is there; "" clears a text. FAILED is counted
        as an error, and leaves what is there.
        """

    def counters(self) -> Mapping[str, int]:
        """Return what the enricher counted since it was opened, by name."""
        return MappingProxyType({})

    def close(self) -> None:  # noqa: B027  most have nothing to let go of
        """Let go of files and sockets."""


@dataclass(frozen=True)
class Surroundings:
    """Where a rule finds its files, and the collector's dictionaries."""

    home: Path
    dictionaries: Dictionaries = field(default=NO_DICTIONARIES)


@dataclass(frozen=True)
class Kind:
    """An entry of the registry. `open` raises RuleError that says which setting is wrong and how.

    `check` does the same without files, sockets and dictionaries.
    """

    name: str
    summary: str
    settings: type[RuleSettings]
    open: Callable[[Any, Surroundings], Enricher]
    check: Callable[[Any], object]


def source(name: str, key: str = "field") -> FieldRef:
    """Return a field that a rule reads; raises RuleError that names the setting."""
    try:
        return field_named(name)
    except ValueError as error:
        raise RuleError(f"{key}: {error}") from error


def target(name: str, key: str = "target") -> FieldRef:
    """Return a field that a rule may write; raises RuleError that names the setting."""
    found = source(name, key)
    owner = MODEL[found.column].set_by
    if owner != "normalizer" and found.column not in _TARGETS:
        raise RuleError(f"{key}: {name} is set by the {owner}; no rule changes it")
    if found.kind == "strings":
        raise RuleError(f"{key}: {name} is a list; a rule writes texts and numbers")
    return found
