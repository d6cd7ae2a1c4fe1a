"""An open window: what is known of the events of one group so far, and the event it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deodar.columnar.values import INT64_MAX, INT64_MIN
from deodar.siem.pipeline.fields import field

if TYPE_CHECKING:
    from deodar.siem.pipeline.aggregation.grouping import Portion
    from deodar.siem.pipeline.aggregation.rule import Shape
    from deodar.siem.pipeline.fields import FieldRef

AGGREGATED = 2
"""The `Type` of an event that stands for others."""
MAX_UNIQUE = 1000
"""Different values of one field that a window holds; with more it becomes an event early."""
MAX_JOINED = 16_384
"""Characters of the list of different values in an event."""
_OVERHEAD = 200  # bytes of a window beside its texts, roughly

Value = str | int | float


class Window(msgspec.Struct, array_like=True, frozen=True):
    """A group's state. `opened` is the journal's time of its first event, µs; `shape` its rule's.

    It has `count` events that stand for `base`; `first` and `last` are times of events, ms.
    """

    shape: str
    key: tuple[Value, ...]
    opened: int
    count: int
    base: int
    first: int
    last: int
    sums: tuple[int | float, ...]
    unique: tuple[tuple[Value, ...], ...]

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        texts = sum(len(value) for value in self.key if isinstance(value, str))
        texts += sum(len(str(value)) for values in self.unique for value in values)
        return _OVERHEAD + texts

    @property
    def is_crowded(self) -> bool:
        """Whether it holds more different values than it should."""
        return any(len(values) > MAX_UNIQUE for values in self.unique)

    def with_portion(self, portion: Portion) -> Window:
        """Return the window with more events in it."""
        return Window(
            self.shape,
            self.key,
            self.opened,
            self.count + portion.count,
            self.base + portion.base,
            min(self.first, portion.first),
            max(self.last, portion.last),
            tuple(a + b for a, b in zip(self.sums, portion.sums, strict=True)),
            tuple(
                tuple(dict.fromkeys((*old, *new)))
                for old, new in zip(self.unique, portion.unique, strict=True)
            ),
        )


def opened(shape: str, portion: Portion, now: int) -> Window:
    """Return a new window with its first events."""
    return Window(
        shape,
        portion.key,
        now,
        portion.count,
        portion.base,
        portion.first,
        portion.last,
        portion.sums,
        portion.unique,
    )


def event(window: Window, shape: Shape) -> dict[str, Any]:
    """Return the event that a window becomes: field to value."""
    found: dict[str, Any] = {
        "Type": AGGREGATED,
        "BaseEventCount": _bounded(window.base),
        "AggregationRuleID": shape.rule_id,
        "AggregationRuleName": shape.rule_name,
        "StartTime": window.first,
        "EndTime": window.last,
    }
    for name, value in zip(shape.identical, window.key, strict=True):
        _put(found, field(name), value)
    for name, total in zip(shape.sum, window.sums, strict=True):
        _put(found, field(name), _bounded(total))
    for name, values in zip(shape.unique, window.unique, strict=True):
        _put_unique(found, field(name), [value for value in values if value or value == 0])
    return found


def _put(found: dict[str, Any], ref: FieldRef, value: Any) -> None:
    if ref.key:
        if value:
            found.setdefault(ref.column, {})[ref.key] = value
    else:
        found[ref.column] = value


def _put_unique(found: dict[str, Any], ref: FieldRef, values: list[Value]) -> None:
    """Put one value as it is; of several the list, where a field cannot hold it into Extra."""
    if len(values) == 1:
        _put(found, ref, values[0])
        return
    joined = ", ".join(map(str, values))[:MAX_JOINED]
    if ref.kind == "string":
        _put(found, ref, joined[: ref.max_length])
    if ref.kind != "string" or len(joined) > (ref.max_length or MAX_JOINED):
        found.setdefault("Extra", {})[ref.name] = joined


def _bounded(total: float) -> float:
    if isinstance(total, int):
        return max(INT64_MIN, min(INT64_MAX, total))
    return total
