"""A filter that is ready to be used: of batches, and of single events for whoever asks why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.filters.columnar import compiled
from deodar.siem.pipeline.filters.nodes import from_nodes
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.tables import read_each

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deodar.siem.pipeline.filters.expressions import Expression
    from deodar.siem.pipeline.filters.operators import Tables
    from deodar.siem.pipeline.frame import EventFrame, Mask


class FilterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A filter of a collector: `code` in KUMA's condition language, or `nodes`, its node form.

    Events that meet the condition go on, as in KUMA from 3.2. With `invert` they are dropped and
    the others go on, which is what filters of KUMA 2.1 and 3.0 mean.
    """

    name: str
    code: str = ""
    nodes: dict[str, Any] = {}
    invert: bool = False
    description: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    enabled: bool = True


class Filter:
    """A condition on events; without one every event meets it, at no cost."""

    def __init__(self, expression: Expression | None, tables: Tables) -> None:
        """Raises ValueError when a dictionary that the filter asks is not there."""
        self.expression = expression
        self._evaluate = None if expression is None else compiled(expression, tables)

    @property
    def is_open(self) -> bool:
        """Whether every event meets it."""
        return self._evaluate is None

    def mask(self, frame: EventFrame) -> Mask | None:
        """Return which events meet it, None for all of them."""
        return None if self._evaluate is None else self._evaluate(frame)


def expression_of(settings: FilterSettings) -> Expression:
    """Return the tree of a filter's settings; raises FilterError or RuleError."""
    if bool(settings.code) == bool(settings.nodes):
        raise RuleError("give either `code` or `nodes`")
    return parse(settings.code) if settings.code else from_nodes(settings.nodes)


def read(tables: Sequence[Mapping[str, Any]], where: str) -> tuple[FilterSettings, ...]:
    """Return the settings of a collector's filters; raises RuleError that names `where`."""
    return read_each(tables, FilterSettings, f"{where}: filters", expression_of)
