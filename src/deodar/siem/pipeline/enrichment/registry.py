"""All kinds of enrichment rules by name, and reading their settings."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from deodar.siem.pipeline.enrichment import (
    constant,
    dictionary,
    dns_names,
    event,
    geoip,
    reputation,
    template,
    timezone,
)
from deodar.siem.pipeline.enrichment.rule import Rule
from deodar.siem.pipeline.errors import FilterError, RuleError
from deodar.siem.pipeline.filters.filter import Filter
from deodar.siem.pipeline.filters.parser import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deodar.siem.pipeline.enrichment.base import Kind, RuleSettings, Surroundings

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        module.KIND.name: module.KIND
        for module in (
            constant,
            dictionary,
            event,
            template,
            timezone,
            dns_names,
            geoip,
            reputation,
        )
    }
)
"""Every kind; a new one is a file with a KIND, named here."""


def read(tables: Sequence[Mapping[str, Any]], where: str) -> tuple[RuleSettings, ...]:
    """Return the settings of all rules in their order, checked; raises RuleError."""
    return tuple(_one(table, f"{where}: enrichment[{index}]") for index, table in enumerate(tables))


def _one(table: Mapping[str, Any], place: str) -> RuleSettings:
    kind = KINDS.get(str(table.get("kind", "")))
    if kind is None:
        raise RuleError(
            f"{place}.kind: {table.get('kind')!r} is no kind of enrichment; "
            f"there are: {', '.join(sorted(KINDS))}"
        )
    try:
        settings = msgspec.convert(dict(table), kind.settings)
    except msgspec.ValidationError as error:
        raise RuleError(f"{place} (kind {kind.name}): {error}") from error
    try:
        if settings.filter:
            parse(settings.filter)
        kind.check(settings)
    except FilterError as error:
        raise RuleError(f"{place} ({settings.name}): {error}") from error
    except RuleError as error:
        raise RuleError(f"{place} ({settings.name}).{error}") from error
    return settings


def open_rule(settings: RuleSettings, around: Surroundings) -> Rule:
    """Return a rule that is ready to be used; raises RuleError that names it."""
    try:
        expression = parse(settings.filter) if settings.filter else None
        condition = Filter(expression, around.dictionaries.tables)
        return Rule(settings.name, KINDS[settings.kind].open(settings, around), condition)
    except (RuleError, ValueError) as error:
        raise RuleError(f"enrichment rule {settings.name}: {error}") from error
