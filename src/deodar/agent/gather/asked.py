"""Records that wait for the facts about their file: its hashes, entropy, header and size."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deodar.agent.sensors.acts import FileChange, LibraryLoad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.enrich.hashes import FileHasher
    from deodar.agent.hashing.facts import FileFacts

PATIENCE = 10.0
"""Seconds that a record waits for them at most."""
MOST = 2048
"""Records that wait; more go on without."""
EXECUTABLE = 0o111
FileRecord = FileChange | LibraryLoad


def wants_fuzzy(record: FileRecord) -> bool:
    """Whether a file's likeness to others is worth its cost: of what may be executed."""
    return isinstance(record, FileChange) and record.mode & EXECUTABLE != 0


@dataclass(slots=True, eq=False)
class Question:
    """One record, and what came of asking."""

    record: FileRecord
    names: list[bytes]
    """Where the file may be found now, the last name first."""
    same: bool
    """Whether it must be the very content that the record's identity names."""
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE)
    answered: bool = False
    moved: bool = False
    """Whether the file got another name since it was asked for."""

    @property
    def paths(self) -> list[str]:
        """Where to look: below the root of the process, then below ours."""
        root = f"/proc/{self.record.key.pid}/root"
        names = [os.fsdecode(name) for name in self.names]
        return [place + name for name in names for place in (root, "")]

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
        self._named: dict[bytes, Question] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, record: FileRecord, names: Sequence[bytes], *, same: bool) -> list[FileRecord]:
        """Let a record wait for the facts about the file that has one of `names`.

        With `same`, about nothing but the content that the record's identity names; else what the
        file has become meanwhile will do. Returns the record when it need not, or cannot, wait.
        """
        question = Question(record, [*names], same)
        if len(self._waiting) >= MOST or not self._put(question):
            return [record]
        self._waiting[id(question)] = question
        self._named[question.names[0]] = question
        return []

    def renamed(self, old: bytes, new: bytes) -> None:
        """Note that a file has another name now: many are written under one that does not last."""
        question = self._named.pop(old, None)
        if question is not None:
            question.names.insert(0, new)
            question.moved = True
            self._named[new] = question

    def ready(self, now: float, *, last: bool = False) -> list[FileRecord]:
        """Return the records that have their facts, or have waited long enough."""
        self._hasher.collect()
        done = [q for q in self._waiting.values() if last or self._is_done(q, now)]
        for question in done:
            del self._waiting[id(question)]
            if self._named.get(question.names[0]) is question:
                del self._named[question.names[0]]
        return [question.record for question in done]

    def _put(self, question: Question) -> bool:
        identity = question.record.identity if question.same else None
        fuzzy = wants_fuzzy(question.record)
        return self._hasher.ask(identity, question.paths, question.answer, fuzzy=fuzzy)

    def _is_done(self, question: Question, now: float) -> bool:
        if question.until <= now:
            return True
        if not question.answered:
            return False
        if question.record.facts is not None or not question.moved:
            return True
        question.answered = question.moved = False  # it had gone from there: once more, elsewhere
        return not self._put(question)
