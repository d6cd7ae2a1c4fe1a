"""What a normalizer does, told field by field: for a type of event, or for one event.

`lines` lists the ways into the columns for an event type, `explain` the one way that each filled
column of an event really took.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from deodar.columnar.interpreter import Interpreter
from deodar.columnar.steps import Divide, Lookup, Regexp, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.columnar.spec import Rule, Spec


class Way(Struct, frozen=True):
    """One way into a column: from a field (or a constant), by steps, with a label."""

    target: str
    source: str
    steps: tuple[str, ...] = ()
    label: str = ""
    value: Any = None


def lines(spec: Spec, event_type: str) -> Sequence[Way]:
    """Return the ways into the columns for an event type, in the order of their right of way."""
    known = spec.known(event_type)
    return [_way(c.target, rule) for c in spec.columns for rule in spec.rules(c, known)]


def explain(spec: Spec, event: bytes) -> Sequence[Way]:
    """Return for each filled column of an event (JSON text) how it came about, with its value.

    Fields kept in ``Extra`` come last, with the target ``Extra.<field>``. Raises Refused if the
    event cannot become a row.
    """
    row = Interpreter(spec).row(event)
    ways = [_way(target, rule, row.values[target]) for target, rule in row.rules.items()]
    kept = [Way(f"Extra.{name}", name, value=text) for name, text in row.extra.items()]
    return [*ways, *kept]


def _way(target: str, rule: Rule, value: Any = None) -> Way:
    source = f"“{rule.constant}”" if rule.path is None else rule.path
    return Way(target, source, tuple(map(describe, rule.steps)), rule.label, value)


def describe(step: Step) -> str:
    """Return a step in words."""
    match step:
        case Divide(by=1000):
            return "µs to ms"
        case Divide(by=by):
            return f"divided by {by}"
        case Lookup(table=table):
            return f"dictionary of {len(table)}"
        case Regexp(expression=expression):
            return f"group 1 of {expression}"
    name = type(step).__name__.lower()
    values = [repr(getattr(step, field)) for field in step.__struct_fields__]
    return f"{name} {' '.join(values)}".rstrip()
