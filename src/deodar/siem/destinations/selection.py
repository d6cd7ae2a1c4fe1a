"""Which events a destination gets: a condition in the same language as the collector's filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from deodar.siem.pipeline.dictionaries import NO_DICTIONARIES
from deodar.siem.pipeline.errors import RuleError
from deodar.siem.pipeline.filters.filter import Filter
from deodar.siem.pipeline.filters.parser import parse
from deodar.siem.pipeline.frame import EventFrame

if TYPE_CHECKING:
    from deodar.siem.pipeline.filters.operators import Tables


def check_filter(text: str) -> None:
    """Raise FilterError when a destination's filter cannot be understood."""
    if text:
        parse(text)


class Selection:
    """A filter, ready to be used."""

    def __init__(self, text: str, tables: Tables = NO_DICTIONARIES.tables) -> None:
        """Read a filter, empty for all events; `tables` are the collector's dictionaries.

        Raises FilterError, or RuleError when a dictionary is not there.
        """
        try:
            self._filter = Filter(parse(text) if text else None, tables)
        except ValueError as error:
            raise RuleError(f"filter of a destination: {error}") from error

    def of(self, events: pa.RecordBatch) -> pa.RecordBatch:
        """Return the events that pass."""
        if self._filter.is_open:
            return events
        mask = self._filter.mask(EventFrame(events, np.arange(events.num_rows)))
        return events if mask is None or mask.all() else events.filter(pa.array(mask))
