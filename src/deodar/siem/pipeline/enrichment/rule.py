"""A rule at work on a frame: which events, which distinct values, what is written, what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from deodar.columnar.values import FAILED, as_float, as_integer, as_text, is_empty
from deodar.siem.pipeline.counts import RuleReport
from deodar.siem.pipeline.fields import ARROW, EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from deodar.siem.pipeline.enrichment.base import Answer, Enricher
    from deodar.siem.pipeline.fields import FieldRef, Kind
    from deodar.siem.pipeline.filters.filter import Filter
    from deodar.siem.pipeline.frame import EventFrame, Mask

_CONVERT: Mapping[Kind, Callable[[Any], Any]] = {
    "string": as_text, "integer": as_integer, "float": as_float,
}  # fmt: skip


class Rule:
    """One enrichment rule, ready to be used."""

    def __init__(self, name: str, enricher: Enricher, condition: Filter) -> None:
        self.name = name
        self.enricher = enricher
        self._condition = condition
        self._written, self._errors = 0, 0

    def apply(self, frame: EventFrame) -> tuple[Mask, int]:
        """Write into the frame; return which events were written to, and how often it failed."""
        where = self._condition.mask(frame)
        if where is None:
            where = np.ones(len(frame), bool)
        written, errors = np.zeros(len(frame), bool), 0
        if not where.any():
            return written, 0
        keys, places = frame.distinct(self.enricher.reads, where)
        answers = self.enricher.answers(keys)
        rows = np.flatnonzero(where)
        for index, ref in enumerate(self.enricher.targets):
            values, bad = _values(answers, index, ref)
            errors += int(bad[places].sum())
            written |= _write(frame, ref, values, rows, places)
        self._written += int(written.sum())
        self._errors += errors
        return written, errors

    def report(self) -> RuleReport:
        """Return what it did so far."""
        counts = {"written": self._written, "errors": self._errors, **self.enricher.counters()}
        return RuleReport(self.name, counts)


def _values(answers: Sequence[Answer], index: int, ref: FieldRef) -> tuple[list[Any], Mask]:
    """Return for each answer the value for one target, None to leave it, and where it failed."""
    values: list[Any] = []
    bad = np.zeros(len(answers), bool)
    for place, answer in enumerate(answers):
        found = answer[index] if isinstance(answer, tuple) else answer
        value = _converted(found, ref)
        bad[place] = value is FAILED
        if isinstance(value, str) and len(value) > (ref.max_length or len(value)):
            bad[place], value = True, value[: ref.max_length]
        values.append(None if value is FAILED else value)
    return values, bad


def _converted(found: Any, ref: FieldRef) -> Any:
    if found is None or found is FAILED:
        return found
    return EMPTY[ref.kind] if is_empty(found) else _CONVERT[ref.kind](found)


def _write(
    frame: EventFrame,
    ref: FieldRef,
    values: Sequence[Any],
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
) -> Mask:
    column = pa.array(values, ARROW[ref.kind])
    told = column.is_valid().to_numpy(zero_copy_only=False)[places]
    where = np.zeros(len(frame), bool)
    where[rows[told]] = True
    if where.any():
        source = np.zeros(len(frame), np.int64)
        source[rows] = places
        frame.write(ref, column.take(pa.array(source)).fill_null(EMPTY[ref.kind]), where)
    return where
