"""The events of one batch by group, in portions that end where a group reaches its threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from deodar.siem.pipeline.fields import field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from deodar.siem.pipeline.aggregation.rule import AggregationRule
    from deodar.siem.pipeline.fields import FieldRef
    from deodar.siem.pipeline.frame import EventFrame, Mask

    Key = tuple[Any, ...]
    Places = NDArray[np.int64]

_START, _END, _TIMESTAMP = field("StartTime"), field("EndTime"), field("Timestamp")
_BASE = field("BaseEventCount")
_SAFE = 2.0**62


@dataclass(frozen=True)
class Portion:
    """Events of one group that come one behind the other: what a window needs of them.

    `base` is how many events they stand for, since some may be aggregated ones themselves. `first`
    and `last` are times of the events in ms. `is_full` says that the group has reached its
    threshold with them.
    """

    key: Key
    count: int
    base: int
    first: int
    last: int
    sums: tuple[float, ...]
    unique: tuple[tuple[Any, ...], ...]
    is_full: bool


def portions(
    frame: EventFrame, where: Mask, rule: AggregationRule, seen: Callable[[Key], int]
) -> Iterator[Portion]:
    """Yield the portions of the events where the mask is true, group by group.

    `seen` tells how many events of a group are in its window already.
    """
    keys, places = frame.distinct(rule.identical, where)
    order = np.argsort(places, kind="stable")
    rows = np.flatnonzero(where)[order]
    groups, starts, full = _cut(keys, np.bincount(places), seen, rule.settings.threshold)
    lengths = np.diff([*starts, len(rows)])
    first, last = _times(frame, rows, starts)
    base = _sums(np.maximum(frame.read(_BASE).to_numpy()[rows], 1), starts)
    sums = [_sums(frame.read(ref).to_numpy()[rows], starts) for ref in rule.sum]
    unique = [_unique(frame, ref, rows, lengths) for ref in rule.unique]
    for index, group in enumerate(groups):
        yield Portion(
            keys[group],
            int(lengths[index]),
            int(base[index]),
            int(first[index]),
            int(last[index]),
            tuple(column[index] for column in sums),
            tuple(column[index] for column in unique),
            full[index],
        )


def _cut(
    keys: Sequence[Key], counts: Places, seen: Callable[[Key], int], threshold: int
) -> tuple[list[int], list[int], list[bool]]:
    """Return for each portion its group, where it begins, and whether it ends at the threshold."""
    groups: list[int] = []
    starts: list[int] = []
    full: list[bool] = []
    at = 0
    for group, count in enumerate(counts.tolist()):
        left, room = count, max(1, threshold - seen(keys[group]))
        while left:
            size = min(left, room)
            groups.append(group)
            starts.append(at)
            full.append(size == room)
            at, left, room = at + size, left - size, threshold
    return groups, starts, full


def _times(frame: EventFrame, rows: Places, starts: list[int]) -> tuple[Places, Places]:
    stamp, start, end = (frame.read(ref).to_numpy()[rows] for ref in (_TIMESTAMP, _START, _END))
    start = np.where(start > 0, start, stamp)
    end = np.where(end > 0, end, start)
    return np.minimum.reduceat(start, starts), np.maximum.reduceat(end, starts)


def _sums(values: NDArray[Any], starts: list[int]) -> list[float]:
    """Return the sum of each portion; integers stay exact, however large they become."""
    whole = values.dtype.kind == "i"
    if whole and float(np.abs(values.astype(np.float64)).max()) * len(values) > _SAFE:
        values = values.astype(object)
    found: list[float] = np.add.reduceat(values, starts).tolist()
    return found


def _unique(
    frame: EventFrame, ref: FieldRef, rows: Places, lengths: Places
) -> list[tuple[Any, ...]]:
    """Return the different values of each portion, in the order in which they came."""
    encoded = frame.read(ref).take(pa.array(rows)).dictionary_encode()
    values = encoded.dictionary.to_pylist()
    portion = np.repeat(np.arange(len(lengths)), lengths)
    both = portion * len(values) + encoded.indices.to_numpy()
    _, firsts = np.unique(both, return_index=True)
    found: list[list[Any]] = [[] for _ in lengths]
    for place in np.sort(firsts).tolist():
        found[portion[place]].append(values[encoded.indices[place].as_py()])
    return [tuple(one) for one in found]
