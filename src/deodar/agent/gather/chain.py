"""What has to be gathered before it is an event: typed characters to lines, writes to one change.

A gatherer takes records of some kinds out of the stream and gives others for them, now or later;
others it only sees, to know when something is over. Gatherers are used by the pipeline's worker
alone. What they hold is bounded: what does not fit is given on early, never dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deodar.agent.sensors.base import Record


class Gatherer(Protocol):
    """Makes records of records."""

    takes: tuple[type[Any], ...]
    """Kinds of records that it takes out of the stream."""
    sees: tuple[type[Any], ...]
    """Kinds that it is shown, and that go on by themselves."""

    @property
    def waiting(self) -> int:
        """How many records it holds back."""
        ...

    def take(self, record: Any) -> Sequence[Record]:
        """Return what comes of a record of `takes` at once."""
        ...

    def see(self, record: Any) -> Sequence[Record]:
        """Return what has to come before a record of `sees`."""
        ...

    def due(self, now: float, *, last: bool = False) -> Sequence[Record]:
        """Return what has waited long enough by the monotonic clock; all of it at the `last`."""
        ...


class Gatherers:
    """All gatherers, found by the kind of a record. Used by one thread."""

    def __init__(self, gatherers: Iterable[Gatherer]) -> None:
        """Raises ValueError when two take the same kind."""
        self._all = tuple(gatherers)
        self._take: dict[type[Any], Callable[[Any], Sequence[Record]]] = {}
        self._see: dict[type[Any], list[Callable[[Any], Sequence[Record]]]] = {}
        for gatherer in self._all:
            for kind in gatherer.takes:
                if kind in self._take:
                    raise ValueError(f"two gatherers take {kind.__name__}")
                self._take[kind] = gatherer.take
            for kind in gatherer.sees:
                self._see.setdefault(kind, []).append(gatherer.see)

    @property
    def waiting(self) -> int:
        """How many records are held back."""
        return sum(gatherer.waiting for gatherer in self._all)

    def through(self, record: Record) -> Sequence[Record]:
        """Return what comes of a record, in order: mostly the record itself."""
        kind = type(record)
        before: list[Record] = []
        for see in self._see.get(kind, ()):
            before += see(record)
        take = self._take.get(kind)
        found = (record,) if take is None else take(record)
        return [*before, *found] if before else found

    def due(self, now: float, *, last: bool = False) -> list[Record]:
        """Return what has waited long enough; everything at the `last`."""
        return [one for gatherer in self._all for one in gatherer.due(now, last=last)]
