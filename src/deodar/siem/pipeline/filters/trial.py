"""A filter tried on single events, with what each of its conditions gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deodar.siem.pipeline.errors import FilterError
from deodar.siem.pipeline.filters.expressions import conditions
from deodar.siem.pipeline.filters.interpreter import predicate
from deodar.siem.pipeline.filters.text import code
from deodar.siem.pipeline.frame import frame_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deodar.siem.pipeline.filters.expressions import Expression
    from deodar.siem.pipeline.filters.operators import Tables


@dataclass(frozen=True)
class Result:
    """Whether an event passes; `parts` are the conditions in code form with what each gave."""

    passes: bool
    parts: tuple[tuple[str, bool], ...]


class Trial:
    """A filter, to be tried."""

    def __init__(self, expression: Expression, tables: Tables) -> None:
        """Raises FilterError when a dictionary is not there."""
        try:
            self._passes = predicate(expression, tables)
        except ValueError as error:
            raise FilterError(str(error)) from error
        parts = dict.fromkeys(conditions(expression))
        self._parts = [(code(part), predicate(part, tables)) for part in parts]

    def of(self, event: Mapping[str, Any]) -> Result:
        """Return what becomes of an event; raises FilterError for one that no event can be."""
        try:
            (plain,) = frame_of([dict(event)]).batch().to_pylist()
        except ValueError as error:
            raise FilterError(f"event: {error}") from error
        return Result(
            self._passes(plain), tuple((text, meets(plain)) for text, meets in self._parts)
        )
