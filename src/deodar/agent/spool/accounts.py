"""How many events wait in the spool, and whether any is missing that nobody gave up.

Each packet's header tells the total of events ever put, up to its end, and how many of them were
thinned out. Where the totals of neighbours leave a gap, packets were damaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.packets import decode_header
from deodar.agent.spool.thinning import DAMAGED, STAGE

if TYPE_CHECKING:
    from deodar.agent.loss import LossBook
    from deodar.kit.journal import Journal


class Gone(NamedTuple):
    """What has left the spool: delivered, or given up and counted."""

    events: int = 0
    thinned: int = 0
    """Events that had been taken out of the same packets before."""
    total: int = 0
    """The total up to which all packets are gone now; 0 when they were only thinned."""
    first: int = 0
    """Time of the first event, µs since the epoch."""


class Accounts:
    """Counts of stored events. Not locked."""

    def __init__(self, journal: Journal, losses: LossBook) -> None:
        """Count what waits; raises JournalUnavailable."""
        self._journal = journal
        self._losses = losses
        self._gone = decode_header(journal.last_header).total if journal.last_header else 0
        self.waiting = 0
        """Events that are stored and not acknowledged."""
        for record in journal.read():
            header = decode_header(record.header)
            self._gone = header.total - header.events - header.thinned
            break
        for stretch in journal.stretches():
            if stretch.first > journal.acknowledged:
                self.waiting += sum(stretch.digest)
            else:
                self.waiting += self.sum_to(stretch.last).events

    def sum_to(self, number: int) -> Gone:
        """Return what goes with an acknowledgement up to a number; raises JournalUnavailable."""
        events = thinned = total = first = 0
        for record in self._journal.read():
            if record.number > number:
                break
            header = decode_header(record.header)
            events, thinned = events + header.events, thinned + header.thinned
            total, first = header.total, first or header.first
        return Gone(events, thinned, total, first)

    def leave(self, gone: Gone) -> None:
        """Count out what has gone, and as lost what should have been with it."""
        self.waiting -= gone.events
        if not gone.total:
            return
        missing = gone.total - self._gone - gone.events - gone.thinned
        self._gone = max(self._gone, gone.total)
        if missing > 0:
            self._losses.add(missing, STAGE, DAMAGED, gone.first * 1000, gone.first * 1000)
