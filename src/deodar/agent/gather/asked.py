"""Records that wait for the facts about their file: its hashes, entropy, header and size."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import FileChange, LibraryLoad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.enrich.hashes import FileHasher
    from deodar.agent.hashing.facts import FileFacts

PATIENCE = 5.0
"""Seconds that a record waits for them at most."""
MOST = 2048
"""Records that wait; more go on without."""
FileRecord = FileChange | LibraryLoad


@dataclass(slots=True, eq=False)
class Question:
    """One record, and what came of asking."""

    record: FileRecord
    until: float
    answered: bool = False

    def answer(self, facts: FileFacts | None) -> None:
        """Take the facts over, if they are about this file and not about another of its name."""
        self.answered = True
        identity = self.record.identity
        found = facts.identity if facts is not None else None
        if found is not None and identity is not None and found.ino != identity.ino:
            return
        self.record.facts = facts


class AskedFacts:
    """Asks for facts, and gives records back when they are there. Used by one thread."""

    def __init__(self, hasher: FileHasher) -> None:
        self._hasher = hasher
        self._waiting: OrderedDict[int, Question] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, record: FileRecord, paths: Sequence[str], *, same: bool) -> list[FileRecord]:
        """Let a record wait for the facts about the file at one of `paths`.

        With `same`, about nothing but the content that the record's identity names; else what the
        file has become meanwhile will do. Returns the record when it need not, or cannot, wait.
        """
        question = Question(record, time.monotonic() + PATIENCE)
        identity = record.identity if same else None
        if len(self._waiting) >= MOST or not self._hasher.ask(identity, paths, question.answer):
            return [record]
        self._waiting[id(question)] = question
        return []

    def ready(self, now: float, *, last: bool = False) -> list[FileRecord]:
        """Return the records that have their facts, or have waited long enough."""
        self._hasher.collect()
        done = [q for q in self._waiting.values() if last or q.answered or q.until <= now]
        for question in done:
            del self._waiting[id(question)]
        return [question.record for question in done]
