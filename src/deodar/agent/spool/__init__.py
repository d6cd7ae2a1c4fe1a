"""The spool: events on disk until the server has confirmed them, in order, within bounds.

It stands on the journal of deodar.kit, and beside the journal's files it keeps ``taken``: up to
which number the server may have the packets already.

When the spool is full by bytes, the least important goes first, over the whole spool, the oldest
first within each importance: events of low importance, then of medium, then all. An event is never
given up for lack of room while one of lower importance is in any segment, or waits in memory. Not
touched is what may be with the server already: the batch on its way, and after a restart or
`forget` what was on its way before. The step of thinning is a segment: once events of an importance
have to go, all of them go from the oldest segment that has some. Numbers and order stay.

While the disk takes nothing, packets wait in memory, and when that is used up they are thinned by
the same rule among themselves; what is on such a disk cannot be thinned and is left alone. Events
that have waited for `maximum_days` go, whatever their importance, except those on their way.

All that goes is counted in the book of losses, by rule and importance, together with the step that
removes it: a process killed at any moment counts it once. Only what waited in memory for the disk
is gone with a killed process, uncounted.
"""

from deodar.agent.spool.batches import StoredBatch
from deodar.agent.spool.store import Spool, SpoolState
from deodar.agent.spool.thinning import (
    AGED,
    DAMAGED,
    DISK,
    FULL,
    STAGE,
    STOPPED,
    TOO_LARGE,
    Level,
)

__all__ = [
    "AGED",
    "DAMAGED",
    "DISK",
    "FULL",
    "STAGE",
    "STOPPED",
    "TOO_LARGE",
    "Level",
    "Spool",
    "SpoolState",
    "StoredBatch",
]
