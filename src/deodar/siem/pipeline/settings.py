"""The pipeline's part of a collector's settings, read and checked, and a line made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deodar.siem.pipeline import dictionaries
from deodar.siem.pipeline.aggregation import rule as aggregation
from deodar.siem.pipeline.aggregation.ledger import FOLDER
from deodar.siem.pipeline.aggregation.stage import Aggregation, Source
from deodar.siem.pipeline.enrichment import registry
from deodar.siem.pipeline.enrichment.base import RuleSettings, Surroundings
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.filters import filter as filters
from deodar.siem.pipeline.filters.expressions import dictionaries as asked
from deodar.siem.pipeline.filters.filter import Filter, FilterSettings
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.line import Gate, Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deodar.siem.pipeline.aggregation.rule import AggregationSettings
    from deodar.siem.pipeline.dictionaries import DictionarySettings
    from deodar.siem.pipeline.filters.expressions import Expression

_ROOM = 8  # times the windows' bytes: all of them may be written twice, and their changes between


class Tables(Protocol):
    """Settings that have the pipeline's tables."""

    @property
    def filters(self) -> list[dict[str, Any]]:
        """Filters; an event goes on when it passes all of them."""

    @property
    def enrichment(self) -> list[dict[str, Any]]:
        """Enrichment rules, in their order."""

    @property
    def aggregation(self) -> list[dict[str, Any]]:
        """Aggregation rules, in their order."""

    @property
    def dictionaries(self) -> list[dict[str, Any]]:
        """Dictionaries that filters and rules ask."""


@dataclass(frozen=True)
class PipelineSettings:
    """Everything about the pipeline, as typed values."""

    filters: tuple[FilterSettings, ...] = ()
    enrichment: tuple[RuleSettings, ...] = ()
    aggregation: tuple[AggregationSettings, ...] = ()
    dictionaries: tuple[DictionarySettings, ...] = ()


def read(tables: Tables, where: str) -> PipelineSettings:
    """Return a collector's settings of the pipeline; raises RuleError that names `where`."""
    settings = PipelineSettings(
        filters.read(tables.filters, where),
        registry.read(tables.enrichment, where),
        aggregation.read(tables.aggregation, where),
        dictionaries.read(tables.dictionaries, where),
    )
    known = {one.name for one in settings.dictionaries if one.keys == 1}
    for place, expression in _conditions(settings):
        for name in sorted(asked(expression) - known):
            told = ", ".join(sorted(known)) or "none"
            raise RuleError(
                f"{where}: {place}: there is no dictionary {name} with one key; there are: {told}"
            )
    return settings


def _conditions(settings: PipelineSettings) -> Iterator[tuple[str, Expression]]:
    """Yield every condition of the settings with its place."""
    for index, one in enumerate(settings.filters):
        yield f"filters[{index}] ({one.name})", filters.expression_of(one)
    rules = [
        (f"enrichment[{i}]", one.name, one.filter) for i, one in enumerate(settings.enrichment)
    ]
    rules += [
        (f"aggregation[{i}]", one.name, one.filter) for i, one in enumerate(settings.aggregation)
    ]
    for place, name, written in rules:
        if written:
            yield f"{place} ({name})", parse(written)


def open_line(settings: PipelineSettings, home: Path, source: Source, journal_bytes: int) -> Line:
    """Return the stages, ready to be used.

    `home` is where relative names of files are, `source` the collector's journal, of at most
    `journal_bytes`. Raises RuleError that names the rule or the file, and JournalUnavailable.
    """
    loaded = dictionaries.load(settings.dictionaries, home)
    gates = [_gate(one, loaded) for one in settings.filters if one.enabled]
    around = Surroundings(home, loaded)
    rules = [registry.open_rule(one, around) for one in settings.enrichment if one.enabled]
    stage = _aggregation(settings, loaded, home, source, journal_bytes)
    return Line(gates, rules, loaded.tables, stage)


def _gate(settings: FilterSettings, loaded: dictionaries.Dictionaries) -> Gate:
    try:
        condition = Filter(filters.expression_of(settings), loaded.tables)
    except ValueError as error:
        raise RuleError(f"filter {settings.name}: {error}") from error
    return Gate(settings.name, condition, settings.invert)


def _aggregation(
    settings: PipelineSettings,
    loaded: dictionaries.Dictionaries,
    home: Path,
    source: Source,
    journal_bytes: int,
) -> Aggregation | None:
    """Return the stage; also without rules as long as there may be windows of former ones."""
    enabled = [one for one in settings.aggregation if one.enabled]
    if not enabled and not (home / FOLDER).is_dir():
        return None
    rules = [aggregation.open_rule(one, loaded.tables) for one in enabled]
    windows = sum(one.max_bytes for one in enabled)
    return Aggregation(rules, home, source, journal_bytes + _ROOM * windows)
