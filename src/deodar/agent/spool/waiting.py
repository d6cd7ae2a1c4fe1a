"""When a batch is ready to be taken: nobody has to look more often than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.packets import decode_header

if TYPE_CHECKING:
    from deodar.agent.age import AgeClock
    from deodar.agent.spool.batches import Outgoing
    from deodar.agent.spool.intake import Intake
    from deodar.kit.journal import Journal


class _Head(NamedTuple):
    """What is known of the first packet behind a number."""

    after: int
    before: int
    """The total of events before it."""
    at: float


class Waiting:
    """Looks at what waits behind a number. Not locked."""

    def __init__(self, journal: Journal, outgoing: Outgoing, intake: Intake, age: AgeClock) -> None:
        self._journal = journal
        self._outgoing = outgoing
        self._intake = intake
        self._age = age
        self._head: _Head | None = None

    def time_for(self, after: int, delay: float, enough: int) -> float | None:
        """Return in how many seconds a batch is ready, None if nothing is there.

        Raises JournalUnavailable.
        """
        after = max(after, self._journal.acknowledged)
        if self._journal.last() <= after:
            return None
        if self._outgoing.has(after) or self._intake.urgent > after:
            return 0
        head = self._head_behind(after)
        if head is None:
            return None
        if self._intake.last.total - head.before >= enough:
            return 0
        return max(0.0, head.at + delay - self._age.now())

    def oldest_at(self) -> float | None:
        """Return when the oldest packet was stored, by the age clock; None if none waits.

        Raises JournalUnavailable.
        """
        head = self._head_behind(self._journal.acknowledged)
        return None if head is None else head.at

    def _head_behind(self, after: int) -> _Head | None:
        """Return the first packet behind a number; it is read once only."""
        if self._journal.last() <= after:
            return None
        if self._head is None or self._head.after != after:
            self._head = None
            for record in self._journal.read(after):
                header = decode_header(record.header)
                before = header.total - header.events - header.thinned
                self._head = _Head(after, before, header.at)
                break
        return self._head
