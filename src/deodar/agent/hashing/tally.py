"""What hashing left out, and why: counted, for nothing is left out silently."""

from __future__ import annotations

import threading
from enum import Enum


class Skip(Enum):
    """Why facts about a file are missing; the texts are for people."""

    FUZZY_BUDGET = "fuzzy hash: no processor time left"
    FUZZY_QUEUE = "fuzzy hash: too many files wait"
    FUZZY_SIZE = "fuzzy hash: file larger than maximum_fuzzy_bytes"
    FUZZY_COST = "fuzzy hash: took too much time"
    BUDGET = "all hashes: no processor time left"
    QUEUE = "all hashes: too many files wait"
    SIZE = "all hashes: file larger than maximum_file_bytes"
    CHANGED = "all hashes: file changed while it was read"
    UNREADABLE = "all hashes: file could not be read"
    HUNG = "all hashes: reading the file did not end"
    NO_OPEN = "all facts: opening the file did not end"
    NO_PROCESS = "all hashes: the hash process is being started again"
    FAILED = "all hashes: an error in the agent; see its log"


BY_SETTING = frozenset({Skip.FUZZY_SIZE, Skip.SIZE})
"""What the settings want; the others are something to look after."""


class Tally:
    """Counts by reason since the start, for any thread."""

    def __init__(self) -> None:
        self._counts: dict[Skip, int] = {}
        self._lock = threading.Lock()

    def add(self, skip: Skip) -> None:
        """Count one file."""
        with self._lock:
            self._counts[skip] = self._counts.get(skip, 0) + 1

    def by_reason(self, *, by_setting: bool = False) -> dict[str, int]:
        """Return the counts by the text of their reason, the most first.

        Of what was left out as the settings want it, or of all else.
        """
        with self._lock:
            items = sorted(self._counts.items(), key=lambda item: -item[1])
        return {skip.value: count for skip, count in items if (skip in BY_SETTING) == by_setting}
