"""Another field of the event, with conversions on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deodar.columnar.steps import Step, compile_steps
from deodar.siem.normalizers.conversions import step
from deodar.siem.pipeline.enrichment.base import (
    Enricher,
    Kind,
    RuleSettings,
    Surroundings,
    source,
    target,
)
from deodar.siem.pipeline.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deodar.siem.pipeline.enrichment.base import Answer, Key

MAX_STEPS = 20


class EventSettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the field `field` holds, changed by `steps` in their order, is put into `target`.

    The steps are the conversions of normalizers: lower, upper, trim, replace, regexp, append,
    prepend, substring, divide, and lookup in a dictionary of the collector. An empty field, or one
    of which the steps leave nothing, changes nothing. The expression of `regexp` is one of
    Python's: unlike the filters' `match` it can take long on a text made for that.
    """

    field: str
    target: str
    steps: list[str | dict[str, Any]] = msgspec.field(default_factory=list)


class Copy(Enricher):
    """Answers with the converted value."""

    def __init__(self, settings: EventSettings, tables: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__([source(settings.field)], [target(settings.target)])
        steps = [_step(settings, index, tables) for index in range(len(settings.steps))]
        self._convert = compile_steps(tuple(steps), "string")

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return what the steps make of each value."""
        return [(self._convert(value) if value else None,) for (value,) in keys]


def _step(settings: EventSettings, index: int, tables: Mapping[str, Mapping[str, str]]) -> Step:
    if index >= MAX_STEPS:
        raise RuleError(f"steps: there are more than {MAX_STEPS}")
    try:
        return step(settings.steps[index], tables)
    except ValueError as error:
        raise RuleError(f"steps[{index}]: {error}") from error


def open_event(settings: EventSettings, around: Surroundings) -> Enricher:
    """Return the enricher."""
    return Copy(settings, around.dictionaries.tables)


def _check(settings: EventSettings) -> None:
    """Check all but whether the dictionaries are there."""
    asked = [one["lookup"] for one in settings.steps if isinstance(one, dict) and "lookup" in one]
    names = [one[0] if isinstance(one, list) and one else one for one in asked]
    Copy(settings, {name: {} for name in names if isinstance(name, str)})


KIND = Kind("event", "another field of the event, converted", EventSettings, open_event, _check)
