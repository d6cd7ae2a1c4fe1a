"""What a normalizer is to the collector: events in, columns of the event model out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.columnar.decoding import Buffer
    from deodar.columnar.program import Outcome


class Normalizer(Protocol):
    """Bad events become dead letters of the outcome; nothing is raised for them."""

    def run(self, events: Sequence[Buffer]) -> Outcome:
        """Return the rows and the dead letters of a batch, in the order of the events."""


@dataclass(frozen=True)
class Arrived(Sequence[bytes]):
    """Events with where each came from (an address, a path) and when, µs since the epoch."""

    events: list[bytes]
    sources: list[str]
    times_us: list[int]

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.events)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        return self.events[index]


def arrived(events: Sequence[Buffer]) -> Arrived:
    """Return events with their origins; those of unknown origin have "" and 0."""
    if isinstance(events, Arrived):
        return events
    return Arrived([bytes(event) for event in events], [""] * len(events), [0] * len(events))
