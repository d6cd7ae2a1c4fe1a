"""Folding batch after batch into windows, without I/O: what is taken, what closes, what is left.

A step changes nothing; it returns what would change, and `commit` does it. So a step that could not
be made durable can be done again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from deodar.siem.pipeline.aggregation.grouping import portions
from deodar.siem.pipeline.aggregation.window import Window, event, opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deodar.siem.pipeline.aggregation.grouping import Key
    from deodar.siem.pipeline.aggregation.rule import AggregationRule, Shape
    from deodar.siem.pipeline.frame import EventFrame, Mask

SET_BACK_US = 10_000_000
"""By how much time may go back before it is taken for a clock that was set back."""


@dataclass
class State:
    """All open windows by the shape of their rule, those of one shape in the order of opening.

    `sizes` is about how many bytes the windows of a shape hold.
    """

    now: int = 0
    shapes: dict[str, Shape] = field(default_factory=dict)
    windows: dict[str, dict[Key, Window]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def every(self) -> Iterator[Window]:
        """Yield all windows."""
        for of_shape in self.windows.values():
            yield from of_shape.values()

    def apply(self, now: int, changed: Sequence[Window], closed: Sequence[tuple[str, Key]]) -> None:
        """Take over what a step changed."""
        self.now = now
        for shape, key in closed:
            self._note(shape, self.windows.setdefault(shape, {}).pop(key, None), None)
        for window in changed:
            held = self.windows.setdefault(window.shape, {})
            self._note(window.shape, held.get(window.key), window)
            held[window.key] = window

    def _note(self, shape: str, old: Window | None, new: Window | None) -> None:
        more = (new.size if new else 0) - (old.size if old else 0)
        self.sizes[shape] = self.sizes.get(shape, 0) + more


@dataclass
class Step:
    """What one batch does: which events are taken, which windows change, which events come out."""

    now: int
    taken: Mask
    changed: dict[tuple[str, Key], Window] = field(default_factory=dict)
    closed: dict[tuple[str, Key], None] = field(default_factory=dict)
    out: list[dict[str, Any]] = field(default_factory=list)
    early: int = 0


class Fold:
    """The rules with their state."""

    def __init__(self, rules: Sequence[AggregationRule], state: State) -> None:
        self._rules = tuple(rules)
        self.state = state
        state.shapes |= {rule.digest: rule.shape for rule in rules}
        self._lifetimes = {rule.digest: rule.lifetime_us for rule in rules}

    @property
    def has_work(self) -> bool:
        """Whether there are rules, or windows of rules that are gone."""
        return bool(self._rules) or any(True for _ in self.state.every())

    def due(self) -> int | None:
        """Return when the next window closes by time, µs of the journal; None without windows."""
        firsts = (next(iter(one.values())) for one in self.state.windows.values() if one)
        return min(
            (first.opened + self._lifetimes.get(first.shape, 0) for first in firsts), default=None
        )

    def step(self, frame: EventFrame, now: int) -> Step:
        """Return what the events of a batch, fetched at `now` (µs), do to the windows."""
        is_set_back = now < self.state.now - SET_BACK_US
        moment = now if is_set_back else max(now, self.state.now)
        step = Step(moment, np.zeros(len(frame), bool))
        self._close_due(step, everything=is_set_back)
        for rule in self._rules if len(frame) else ():
            mask = rule.condition.mask(frame)
            where = ~step.taken if mask is None else mask & ~step.taken
            if where.any():
                self._take(step, rule, frame, where)
        for rule in self._rules:
            self._bound(step, rule)
        return step

    def commit(self, step: Step) -> None:
        """Take over what a step changed."""
        self.state.apply(step.now, list(step.changed.values()), list(step.closed))

    def _close_due(self, step: Step, *, everything: bool) -> None:
        for shape, windows in self.state.windows.items():
            lifetime = self._lifetimes.get(shape)
            for window in windows.values():
                gone = everything or lifetime is None
                if not gone and window.opened + (lifetime or 0) > step.now:
                    break
                self._close(step, window)

    def _close(self, step: Step, window: Window, *, early: bool = False) -> None:
        place = (window.shape, window.key)
        step.changed.pop(place, None)
        step.closed[place] = None
        step.out.append(event(window, self.state.shapes[window.shape]))
        step.early += early

    def _window(self, step: Step, place: tuple[str, Key]) -> Window | None:
        if place in step.changed:
            return step.changed[place]
        if place in step.closed:
            return None
        return self.state.windows.get(place[0], {}).get(place[1])

    def _take(self, step: Step, rule: AggregationRule, frame: EventFrame, where: Mask) -> None:
        def seen(key: Key) -> int:
            found = self._window(step, (rule.digest, key))
            return found.count if found else 0

        for portion in portions(frame, where, rule, seen):
            place = (rule.digest, portion.key)
            found = self._window(step, place)
            window = (
                found.with_portion(portion) if found else opened(rule.digest, portion, step.now)
            )
            step.changed[place] = window
            if portion.is_full or window.is_crowded:
                self._close(step, window, early=not portion.is_full)
        step.taken |= where

    def _bound(self, step: Step, rule: AggregationRule) -> None:
        """Close the oldest windows of a rule until it holds no more than it may."""
        base = self.state.windows.get(rule.digest, {})
        changed = [one for (shape, _), one in step.changed.items() if shape == rule.digest]
        most = self.state.sizes.get(rule.digest, 0) + sum(one.size for one in changed)
        limits = rule.settings
        if len(base) + len(changed) <= limits.max_windows and most <= limits.max_bytes:
            return  # even if all that changed were new
        held = dict(base)
        for shape, key in step.closed:
            if shape == rule.digest:
                held.pop(key, None)
        held |= {one.key: one for one in changed}
        size = sum(window.size for window in held.values())
        for window in list(held.values()):
            if len(held) <= limits.max_windows and size <= limits.max_bytes:
                break
            del held[window.key]
            size -= window.size
            self._close(step, window, early=True)
