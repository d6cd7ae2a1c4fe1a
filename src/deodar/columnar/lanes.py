"""The rules of a column, arranged so that whole batches can follow them.

A lane takes at most one rule of each event type, and all its rules have the same steps and the
same kind of source: so one Arrow array and one conversion serve all types at once. The lanes of a
column are in the order of the rules: a row's value comes from the first lane that gives it one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deodar.columnar.steps import Convert, Step, compile_steps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deodar.columnar.spec import Column, Kind, Rule, Spec


@dataclass
class Lane:
    """The rules of one column that are carried out together, by canonical event type."""

    steps: tuple[Step, ...]
    kind: Kind | None
    convert: Convert
    rules: dict[str, Rule] = field(default_factory=dict)
    losers: set[str] = field(default_factory=set)

    def takes(self, rule: Rule, kind: Kind | None, event_type: str) -> bool:
        """True if the rule can be carried out in this lane."""
        return self.kind == kind and self.steps == rule.steps and event_type not in self.rules

    @property
    def is_plain(self) -> bool:
        """True if values are only copied."""
        return not self.steps


def lanes(spec: Spec, column: Column, event_types: Iterable[str]) -> list[Lane]:
    """Return the lanes of a column for the given canonical event types."""
    found: list[Lane] = []
    for event_type in event_types:
        safe = spec.safe(event_type)
        after = 0
        for rank, rule in enumerate(spec.rules(column, event_type)):
            kind = spec.kind(rule.path) if rule.path else None
            after = _place(found, after, column, rule, kind, event_type)
            if rank and rule.path not in safe:
                found[after - 1].losers.add(event_type)
    return found


def _place(
    found: list[Lane], after: int, column: Column, rule: Rule, kind: Kind | None, event_type: str
) -> int:
    """Put a rule in the first fitting lane from `after` on; return the place after that lane."""
    for index in range(after, len(found)):
        if found[index].takes(rule, kind, event_type):
            break
    else:
        index = len(found)
        found.append(Lane(rule.steps, kind, compile_steps(rule.steps, column.type)))
    found[index].rules[event_type] = rule
    return index + 1
