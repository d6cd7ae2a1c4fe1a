"""The rules of a column, arranged so that whole batches can follow them.

A lane takes at most one rule of each event type, and all its rules have the same steps and the
same kind of source: so one Arrow array and one conversion serve all types at once. The lanes of a
column are in the order of the rules: a row's value comes from the first lane that gives it one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from deodar.columnar.steps import Convert, Step, compile_steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deodar.columnar.spec import Column, Kind, Rule, Spec


@dataclass
class Lane:
    """The rules of one column that are carried out together, by the code of the event type.

    ``losers`` are the codes of the types whose rule may come too late with a value that has no
    other place.
    """

    steps: tuple[Step, ...]
    kind: Kind | None
    convert: Convert
    rules: dict[int, Rule] = field(default_factory=dict)
    losers: set[int] = field(default_factory=set)

    def takes(self, rule: Rule, kind: Kind | None, code: int) -> bool:
        """True if the rule can be carried out in this lane."""
        return self.kind == kind and self.steps == rule.steps and code not in self.rules

    @property
    def is_plain(self) -> bool:
        """True if values are only copied."""
        return not self.steps

    @cached_property
    def reads(self) -> Mapping[str, frozenset[int]]:
        """Which path is read in events of which types."""
        reads: dict[str, set[int]] = {}
        for code, rule in self.rules.items():
            if rule.path is not None:
                reads.setdefault(rule.path, set()).add(code)
        return {path: frozenset(codes) for path, codes in reads.items()}

    @cached_property
    def constants(self) -> Mapping[int, str | int | float | None]:
        """The constant for each type."""
        return {code: rule.constant for code, rule in self.rules.items()}

    @cached_property
    def labels(self) -> Mapping[int, str]:
        """The label for each type; nothing at all if no rule has one."""
        labels = {code: rule.label for code, rule in self.rules.items()}
        return labels if any(labels.values()) else {}


def lanes(spec: Spec, column: Column) -> list[Lane]:
    """Return the lanes of a column."""
    found: list[Lane] = []
    for code, event_type in enumerate(spec.all_types):
        safe = spec.safe(event_type)
        after = 0
        for rank, rule in enumerate(spec.rules(column, event_type)):
            kind = spec.kind(rule.path) if rule.path else None
            after = _place(found, after, column, rule, kind, code)
            if rank and rule.path not in safe:
                found[after - 1].losers.add(code)
    return found


def _place(
    found: list[Lane], after: int, column: Column, rule: Rule, kind: Kind | None, code: int
) -> int:
    """Put a rule in the first fitting lane from `after` on; return the place after that lane."""
    for index in range(after, len(found)):
        if found[index].takes(rule, kind, code):
            break
    else:
        index = len(found)
        found.append(Lane(rule.steps, kind, compile_steps(rule.steps, column.type)))
    found[index].rules[code] = rule
    return index + 1
