"""What an aggregation rule says, read and checked, and its shape, which open windows go by."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.siem.pipeline.enrichment.base import target
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.filters.filter import Filter
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.tables import read_each

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deodar.siem.pipeline.fields import FieldRef
    from deodar.siem.pipeline.filters.operators import Tables

_OWN = ("StartTime", "EndTime", "Timestamp")
_NAMESPACE = uuid.UUID("0b0f6a5e-3f0c-4c53-9b3a-6f3a0a6f2c11")

Names = Annotated[list[str], msgspec.Meta(max_length=32)]


class AggregationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events that meet `filter` and hold the same in all `identical` fields become one event.

    It comes when there are `threshold` of them, or `lifetime` seconds after the first one, by the
    collector's journal. It holds the `identical` fields, the different values of the `unique`
    fields, the sums of the `sum` fields, and nothing else of the events. An event goes to the first
    rule whose filter it meets. `id` names the rule in events; without it one is made of the name.
    `max_windows` groups, and texts of `max_bytes`, are held at once: beyond, the oldest groups
    become events early, which is counted.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    identical: Annotated[list[str], msgspec.Meta(min_length=1, max_length=32)]
    unique: Names = msgspec.field(default_factory=list)
    sum: Names = msgspec.field(default_factory=list)
    threshold: Annotated[int, msgspec.Meta(ge=2, le=1_000_000_000)] = 100
    lifetime: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0
    filter: str = ""
    id: Annotated[str, msgspec.Meta(max_length=36)] = ""
    max_windows: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000
    max_bytes: Annotated[int, msgspec.Meta(ge=4096, le=1 << 30)] = 16 << 20
    description: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    enabled: bool = True


class Shape(msgspec.Struct, frozen=True):
    """What an open window needs of its rule, whatever becomes of the settings meanwhile."""

    rule_id: str
    rule_name: str
    identical: tuple[str, ...]
    unique: tuple[str, ...]
    sum: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The shape's identity."""
        return hashlib.blake2b(msgspec.msgpack.encode(self), digest_size=8).hexdigest()


class AggregationRule:
    """A rule that is ready to be used."""

    def __init__(self, settings: AggregationSettings, tables: Tables) -> None:
        """Raises RuleError, FilterError, or ValueError when a dictionary is not there."""
        self.settings = settings
        self.identical, self.unique, self.sum = _fields(settings)
        self.condition = Filter(parse(settings.filter) if settings.filter else None, tables)
        rule_id = settings.id or str(uuid.uuid5(_NAMESPACE, settings.name))
        self.shape = Shape(
            rule_id,
            settings.name,
            tuple(settings.identical),
            tuple(settings.unique),
            tuple(settings.sum),
        )
        self.digest = self.shape.digest
        self.lifetime_us = int(settings.lifetime * 1e6)


def _fields(settings: AggregationSettings) -> tuple[list[FieldRef], list[FieldRef], list[FieldRef]]:
    identical = [target(name, "identical") for name in settings.identical]
    unique = [target(name, "unique") for name in settings.unique]
    sums = [target(name, "sum") for name in settings.sum]
    names = [ref.name for ref in (*identical, *unique, *sums)]
    for name in names:
        if names.count(name) > 1:
            raise RuleError(f"{name} is named twice; identical, unique and sum exclude one another")
        if name in _OWN:
            raise RuleError(f"{name} is set by aggregation itself; leave it out")
    for ref in sums:
        if ref.kind == "string":
            raise RuleError(f"sum: {ref.name} is a text; only numbers have a sum")
    return identical, unique, sums


def read(tables: Sequence[Mapping[str, Any]], where: str) -> tuple[AggregationSettings, ...]:
    """Return the settings of all rules in their order, checked; raises RuleError."""
    return read_each(tables, AggregationSettings, f"{where}: aggregation", _check)


def _check(settings: AggregationSettings) -> None:
    _fields(settings)
    if settings.filter:
        parse(settings.filter)


def open_rule(settings: AggregationSettings, tables: Tables) -> AggregationRule:
    """Return a rule that is ready to be used; raises RuleError that names it."""
    try:
        return AggregationRule(settings, tables)
    except (RuleError, ValueError) as error:
        raise RuleError(f"aggregation rule {settings.name}: {error}") from error
