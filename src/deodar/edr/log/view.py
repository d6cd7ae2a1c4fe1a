"""What readers see of an event log, whoever writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.edr.log.reader import Reader
from deodar.edr.log.recent import Recent
from deodar.edr.log.voids import NONE, Voids
from deodar.edr.log.watermark import Watermark

if TYPE_CHECKING:
    from deodar.edr.log.lineage import Lineage
    from deodar.store.engine import Engine


@dataclass(frozen=True)
class Counters:
    """What has come into the log since this server opened it."""

    events: int = 0
    packets: int = 0
    blocks: int = 0
    failures: int = 0


class View:
    """An opened log. All methods belong to one event loop; `reader` may be used in threads."""

    def __init__(self, engine: Engine, lineage: Lineage, numbers: tuple[int, int]) -> None:
        """`numbers` are the first and the last of the events that are there, 0 for none."""
        self._lineage = lineage
        self._floor = max(0, numbers[0] - 1)
        self.voids: Voids = NONE
        self.reader = Reader(engine, lambda: self.voids)
        self.recent = Recent()
        self.watermark = Watermark(numbers[1])
        self.counters = Counters()

    @property
    def failure(self) -> str | None:
        """Why nothing is taken at present, or None."""
        return None

    @property
    def queued(self) -> int:
        """The number of events that wait here to be committed."""
        return 0

    @property
    def may_drop(self) -> bool:
        """Whether it is this server that has to drop what is too old."""
        return True

    @property
    def epoch(self) -> bytes:
        """16 bytes that tell this log from others."""
        return self._lineage.current

    @property
    def floor(self) -> int:
        """The last number that is not to be had any more, 0 when all are there."""
        return self._floor

    def problem(self, epoch: bytes, seq: int) -> str | None:
        """Return why a reader cannot go on behind a number that it got in an epoch, or None."""
        if (problem := self._lineage.problem(epoch, seq)) is not None:
            return problem
        if seq > self.watermark.value:
            return "it is ahead of the event log: an older state was restored"
        if seq < self._floor:
            return "it is outdated: events behind it were dropped by retention"
        return None

    def behind(self, seq: int) -> int:
        """Return how many events readers may see above a number."""
        last = self.watermark.value
        return max(0, last - seq - self.voids.within(seq, last))

    def give_up(self, seq: int) -> None:
        """Let no reader begin before a number any more: what is up to it is about to go.

        May be called in any thread.
        """
        self._floor = max(self._floor, seq)
