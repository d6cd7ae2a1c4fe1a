"""A durable, bounded queue of records in segment files: first in, first out.

The collector writes every fetched response into one before anything else happens; the agent's
spool is one. A record is durable when `append` returns. It stays until it is acknowledged; whole
segments go when all of their records are. A journal's folder holds:

``00000000000000000001.segment`` and so on
    The records; `deodar.kit.journal.segments` tells their format.
``identity``
    A UUID, made with the journal; with a record's number it names that record for ever.
``acknowledged``
    Up to which number all is done; `deodar.kit.journal.files` tells its format.
``damaged/``
    Bytes of segments that could not be read, as they were found.
``replacement``, ``next``
    Segments that are being made; left by a crash, they are removed when the journal is opened.
``lock``
    Held by the process that has the journal open.
"""

from deodar.kit.journal.errors import (
    JournalError,
    JournalFull,
    JournalUnavailable,
    RecordTooLarge,
)
from deodar.kit.journal.queue import Journal, Stretch
from deodar.kit.journal.recovery import Damage
from deodar.kit.journal.replacement import Replacement
from deodar.kit.journal.segments import Record

__all__ = [
    "Damage",
    "Journal",
    "JournalError",
    "JournalFull",
    "JournalUnavailable",
    "Record",
    "RecordTooLarge",
    "Replacement",
    "Stretch",
]
