"""Facts about files for the pipeline: sizes, times, type, entropy, hashes, with a cache.

A file is found again by device, inode, size, modification and change time, never by name alone:
what was opened is compared with what the kernel executed. Reading happens in a process of its own
(`deodar.agent.hashing`). The event of a program that starts waits for its facts, for a limited
time, so that a huge file, or a network file system that hangs, delays events but never stops them.
Who must not wait asks, and collects the answer later.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deodar.agent.hashing.budget import BURST
from deodar.agent.hashing.cache import FactsCache
from deodar.agent.hashing.errors import OpenTimeout
from deodar.agent.hashing.facts import FileFacts, Rest, identity_of, known_of
from deodar.agent.hashing.job import Job
from deodar.agent.hashing.service import Hashing, Limits
from deodar.agent.hashing.tally import Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.hashing.opener import Opened
    from deodar.agent.sensors.base import FileIdentity
    from deodar.agent.settings import HashSettings

    Done = Callable[[FileFacts | None], None]

__all__ = ["FileFacts", "FileHasher", "identity_of"]

LEAST_PATIENCE = 0.01
FUZZY_PATIENCE = 0.1
"""Seconds that an event waits for the fuzzy hash: enough for 100 kB. Else a later one has it."""
CALM = 0.9 * BURST
"""With less processor time left no event waits for the fuzzy hash."""
FUZZY_ASKED = 2.0
"""Seconds from the question on in which an answer waits for the fuzzy hash."""
OUTSTANDING = 2048
"""Files that may be asked for and not collected."""


@dataclass(frozen=True)
class HashCounters:
    """How hashing fares, for the status; counts since the start."""

    hits: int
    misses: int
    timeouts: int
    """Events that went without their file's hashes, for these took too long."""
    failures: int
    """Files that no path led to any more."""
    waiting: int
    starts: int
    """Starts of the hash process."""
    pid: int | None
    processor_seconds: float
    """What it took."""
    skipped: dict[str, int]
    """Files by the reason why facts about them are missing."""
    limited: dict[str, int]
    """The same, where the settings want it so."""


class FileHasher:
    """Facts about files, hashed once per content. Used by one thread; reads in others."""

    def __init__(self, settings: HashSettings, limits: Limits | None = None) -> None:
        self._settings = settings
        self._cache = FactsCache(settings.cache_entries)
        self._hashing = Hashing(settings, self._cache, limits or Limits())
        self._running: dict[FileIdentity, Job] = {}
        self._asked: dict[Job, float] = {}
        """Files that somebody is to be told of, and when they were first asked for."""
        self._answers: list[tuple[Done, FileFacts | None]] = []
        self._outstanding = 0
        self._patience = settings.maximum_wait
        self.hits = self.misses = self.timeouts = self.failures = 0

    def facts(self, identity: FileIdentity | None, paths: Sequence[str]) -> FileFacts | None:
        """Return the facts about a file, opened at the first of `paths` that leads to it.

        With `identity` None, the first path that opens is believed. The hashes are empty when the
        file is too large, hashing is off or over its limits, or reading took longer than an event
        may wait; `latest` may know more then. Returns None when no path leads to the file any more.
        """
        known = self._known(identity, paths)
        if known is not None:
            return known
        try:
            opened = self._hashing.opener.open(identity, paths, self._patience) if paths else None
        except OpenTimeout:
            return self._not_opened(identity)
        if opened is None:
            self.failures += 1
            return None
        return self._of_open_file(opened, paths)

    def at_hand(self, identity: FileIdentity | None) -> FileFacts | None:
        """Return the facts about a file if all of them are known already."""
        found = self._cache.get(identity)
        if found is None or found.rest is not Rest.NOTHING:
            return None
        self.hits += 1
        return found

    def latest(self, facts: FileFacts) -> FileFacts:
        """Return what is known by now of a file whose facts were not complete."""
        if facts.rest is not Rest.COMING or facts.identity is None:
            return facts
        self._settle()
        job = self._running.get(facts.identity)
        found = self._cache.get(facts.identity) or (job.facts if job is not None else None)
        return found or replace(facts, rest=Rest.NOTHING)

    def ask(
        self,
        identity: FileIdentity | None,
        paths: Sequence[str],
        done: Done,
        *,
        fuzzy: bool = True,
    ) -> bool:
        """Let the facts about a file be found out, without waiting for them.

        With `fuzzy` they have the fuzzy hash too, if it is made within two seconds. `collect` calls
        `done` with them, once; with None when no path led to the file any more. Returns False when
        too many files wait: then there will be no answer, and that is counted.
        """
        self._settle()
        if self._outstanding >= OUTSTANDING:
            self._hashing.tally.add(Skip.QUEUE)
            return False
        self._outstanding += 1
        known = self._cached(identity, paths) if fuzzy else self._cache.get(identity)
        job = self._running.get(identity) if identity is not None else None
        if job is not None:
            self._tell(job, done)
        elif known is not None:
            self.hits += 1
            self._answers.append((done, known))
        else:
            return self._begin(Job(identity, paths, self._hashing.finish, fuzzy=fuzzy), done)
        return True

    def collect(self) -> int:
        """Tell those who asked what came since the last call; returns how many answers."""
        self._settle()
        self._tell_without_fuzzy(time.monotonic() - FUZZY_ASKED)
        answers, self._answers = self._answers, []
        self._outstanding -= len(answers)
        for done, facts in answers:
            done(facts)
        return len(answers)

    def counters(self) -> HashCounters:
        """Return how it fares. For any thread."""
        hashing = self._hashing
        return HashCounters(
            hits=self.hits,
            misses=self.misses,
            timeouts=self.timeouts,
            failures=self.failures,
            waiting=hashing.quick.waiting + hashing.slow.waiting,
            starts=hashing.process.starts,
            pid=hashing.process.pid,
            processor_seconds=hashing.budget.spent,
            skipped=hashing.tally.by_reason(),
            limited=hashing.tally.by_reason(by_setting=True),
        )

    def close(self) -> None:
        """End the hash process."""
        self._hashing.close()

    def _known(self, identity: FileIdentity | None, paths: Sequence[str]) -> FileFacts | None:
        """Return what is known of a file; nobody waits twice for the same one."""
        self._settle()
        found = self._cached(identity, paths)
        if found is not None:
            self.hits += 1
            return found
        job = self._running.get(identity) if identity is not None else None
        if job is None or job.facts is None:  # not opened yet, and others come before it
            return None
        self.hits += 1
        return job.facts if job.was_waited_for else self._wait(job)

    def _cached(self, identity: FileIdentity | None, paths: Sequence[str]) -> FileFacts | None:
        found = self._cache.get(identity)
        if found is None or found.rest is not Rest.SKIPPED or identity in self._running:
            return found
        if not self._hashing.has_time_for_fuzzy:
            return found
        job = Job(identity, paths, self._hashing.finish)
        job.facts = replace(found, rest=Rest.COMING)
        if not self._hashing.begin_fuzzy(job):
            return found
        job.was_waited_for = True
        self._note(job)
        return job.facts

    def _not_opened(self, identity: FileIdentity | None) -> FileFacts | None:
        self._wait_less()
        self._hashing.tally.add(Skip.NO_OPEN)
        facts = known_of(identity)
        if facts is not None and identity is not None:
            self._cache.put(identity, facts)
        return facts

    def _of_open_file(self, opened: Opened, paths: Sequence[str]) -> FileFacts:
        known = self._known(opened.identity, paths)
        if known is not None:
            os.close(opened.descriptor)
            return known
        self.misses += 1
        job = Job(opened.identity, paths, self._hashing.finish, urgent=True)
        job.take(opened)
        if not self._hashing.begin(job):
            job.close()
            return opened.facts
        self._note(job)
        return self._wait(job) or opened.facts

    def _begin(self, job: Job, done: Done) -> bool:
        self.misses += 1
        if not self._hashing.begin(job):
            self._outstanding -= 1
            return False
        self._tell(job, done)
        self._note(job)
        return True

    def _tell(self, job: Job, done: Done) -> None:
        job.told.append(done)
        self._asked.setdefault(job, time.monotonic())

    def _tell_without_fuzzy(self, asked_before: float) -> None:
        for job in [one for one, asked in self._asked.items() if asked <= asked_before]:
            if job.digested.is_set():
                self._answer(job)

    def _answer(self, job: Job) -> None:
        self._asked.pop(job, None)
        self._answers += [(done, job.facts) for done in job.told]
        job.told = []

    def _note(self, job: Job) -> None:
        if job.identity is not None:
            self._running[job.identity] = job

    def _wait(self, job: Job) -> FileFacts | None:
        """Return the facts as far as they come in time; else the next wait is shorter."""
        job.was_waited_for = True
        if not job.digested.wait(self._patience):
            self._wait_less()
        else:
            self._patience = min(self._settings.maximum_wait, 2 * self._patience)
            if not job.ended.is_set() and self._hashing.budget.level() > CALM:
                job.ended.wait(FUZZY_PATIENCE)
        return job.facts

    def _wait_less(self) -> None:
        self.timeouts += 1
        self._patience = max(min(LEAST_PATIENCE, self._patience), self._patience / 2)

    def _settle(self) -> None:
        """Take back the jobs that have ended."""
        finished = self._hashing.finished
        while not finished.empty():
            job = finished.get()
            if job.identity is not None and self._running.get(job.identity) is job:
                del self._running[job.identity]
            self._answer(job)
