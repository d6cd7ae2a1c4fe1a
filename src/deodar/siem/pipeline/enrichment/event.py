"""Another field of the event, with conversions on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from deodar.columnar.steps import Convert, Regexp, compile_step
from deodar.columnar.values import FAILED, as_text, is_empty
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
from deodar.siem.pipeline.filters.constants import checked_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deodar.siem.pipeline.enrichment.base import Answer, Key

MAX_STEPS = 20


class EventSettings(RuleSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the field `field` holds, changed by `steps` in their order, is put into `target`.

    The steps are the conversions of normalizers: lower, upper, trim, replace, regexp, append,
    prepend, substring, divide, and lookup in a dictionary of the collector. An empty field, or one
    of which the steps leave nothing, changes nothing. The expression of `regexp` is one of RE2, as
    that of the filters' `match`: its time is in proportion to the text.
    """

    field: str
    target: str
    steps: list[str | dict[str, Any]] = msgspec.field(default_factory=list)


class Copy(Enricher):
    """Answers with the converted value."""

    def __init__(self, settings: EventSettings, tables: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__([source(settings.field)], [target(settings.target)])
        self._steps = [_step(settings, index, tables) for index in range(len(settings.steps))]

    def answers(self, keys: Sequence[Key]) -> Sequence[Answer]:
        """Return what the steps make of each value."""
        return [(self._converted(value),) for (value,) in keys]

    def _converted(self, value: Any) -> Any:
        for step_of in self._steps:
            if value is FAILED or is_empty(value):
                break
            value = step_of(value)
        return None if is_empty(value) else value


def _step(settings: EventSettings, index: int, tables: Mapping[str, Mapping[str, str]]) -> Convert:
    if index >= MAX_STEPS:
        raise RuleError(f"steps: there are more than {MAX_STEPS}")
    try:
        made = step(settings.steps[index], tables)
        return _group_one(made) if isinstance(made, Regexp) else compile_step(made)
    except ValueError as error:
        raise RuleError(f"steps[{index}]: {error}") from error


def _group_one(made: Regexp) -> Convert:
    """Return what a regexp step does, by RE2: the leftmost match is kept, as its group 1."""
    pattern = checked_pattern(made.expression)
    whole = f"(?s)^.*?(?:{pattern}).*$"

    def group_one(value: Any) -> str | None:
        text = pa.array([as_text(value)], pa.string())
        if not pc.match_substring_regex(text, pattern)[0].as_py():
            return None
        found: str = pc.replace_substring_regex(text, whole, "\\1")[0].as_py()
        return found

    return group_one


def open_event(settings: EventSettings, around: Surroundings) -> Enricher:
    """Return the enricher."""
    return Copy(settings, around.dictionaries.tables)


def _check(settings: EventSettings) -> None:
    """Check all but whether the dictionaries are there."""
    asked = [one["lookup"] for one in settings.steps if isinstance(one, dict) and "lookup" in one]
    names = [one[0] if isinstance(one, list) and one else one for one in asked]
    Copy(settings, {name: {} for name in names if isinstance(name, str)})


KIND = Kind("event", "another field of the event, converted", EventSettings, open_event, _check)
