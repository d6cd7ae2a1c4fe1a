"""A file's way through hashing: opened, digested, and if there is time for it, fuzzily hashed.

Each step is bounded: opening and reading by time, the queues by number, all together by processor
time. Whatever is left out is counted by its reason.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deodar.agent.hashing import wire
from deodar.agent.hashing.budget import Budget
from deodar.agent.hashing.errors import (
    OpenTimeout,
    ProcessDied,
    ProcessHung,
    ProcessUnavailable,
)
from deodar.agent.hashing.facts import FileFacts, Rest, known_of
from deodar.agent.hashing.lane import Lane
from deodar.agent.hashing.opener import Opener
from deodar.agent.hashing.process import HashProcess
from deodar.agent.hashing.tally import Skip, Tally

if TYPE_CHECKING:
    from deodar.agent.hashing.cache import FactsCache
    from deodar.agent.hashing.job import Job
    from deodar.agent.settings import HashSettings

URGENT = 16
"""Files that events wait for."""
WAITING = 1024
"""Files that were asked for and not opened yet."""
FUZZY_WAITING = 64
"""Files that wait for their fuzzy hash. They are open, for a short-lived one has no name later."""


@dataclass(frozen=True)
class Limits:
    """Seconds of patience with a file; those of a hanging file system are spent once a file."""

    opening: float = 10.0
    reading: float = 10.0
    bytes_per_second: float = 4e6
    """What a file may take beyond `reading`."""
    fuzzy: float = 60.0

    def of_lane(self, lane: int, size: int) -> float:
        """Return how long a file of `size` bytes may take on a lane."""
        return self.fuzzy if lane == wire.FUZZY else self.reading + size / self.bytes_per_second


class Hashing:
    """Works on files in threads and a process of its own; for the one thread that gives them."""

    def __init__(self, settings: HashSettings, cache: FactsCache, limits: Limits) -> None:
        self._settings, self._cache, self._limits = settings, cache, limits
        self.tally = Tally()
        self.budget = Budget(settings.processor_percent)
        self.opener = Opener()
        self.process = HashProcess(self.budget.spend)
        self.finished: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.quick = Lane(
            "hash",
            self._digest,
            self._failed,
            room=WAITING,
            urgent=URGENT,
            idle=self.process.rest,
        )
        self.slow = Lane("fuzzy", self._fuzzy, self._failed, room=FUZZY_WAITING)

    def begin(self, job: Job) -> bool:
        """Take a file; returns False, and counts it, when too many wait."""
        taken = self.quick.put(job)
        if not taken:
            self.tally.add(Skip.QUEUE)
        return taken

    @property
    def has_time_for_fuzzy(self) -> bool:
        """Whether another file would get its fuzzy hash."""
        return self.slow.waiting < FUZZY_WAITING and self.budget.allows(fuzzy=True)

    def begin_fuzzy(self, job: Job) -> bool:
        """Take a file of which only the fuzzy hash is missing; False when too many wait."""
        return self.slow.put(job)

    def finish(self, job: Job) -> None:
        """Take a job back from its lane."""
        if job.is_kept and job.identity is not None and job.facts is not None:
            self._cache.put(job.identity, job.facts)
        self.finished.put(job)

    def close(self) -> None:
        """End the process and the threads, as far as they do not hang."""
        self.quick.close()
        self.slow.close()
        self.process.close()
        self.opener.close()

    def _digest(self, job: Job) -> None:
        if not self._open(job):
            return
        facts = job.facts
        assert facts is not None  # noqa: S101 - it has been opened
        known = self._cache.get(job.identity)
        if known is not None and known.rest is Rest.NOTHING:
            job.end(known, keep=False)
        elif known is not None:
            job.facts = replace(known, rest=Rest.COMING)
            self._pass_on(job, job.facts)
        elif not self._settings.enabled:
            self._settle(job, keep=True)
        elif facts.size > self._settings.maximum_file_bytes:
            self._skip(job, Skip.SIZE, keep=True)
        elif not self.budget.allows(program=job.fuzzy):
            self._skip(job, Skip.BUDGET, keep=False)
        elif (result := self._ask(job, wire.DIGEST)) is not None:
            bits, md5, sha256 = wire.DIGESTS.unpack(result)
            job.facts = replace(facts, entropy=bits, md5=md5.hex(), sha256=sha256.hex())
            self._pass_on(job, job.facts)

    def _pass_on(self, job: Job, facts: FileFacts) -> None:
        """Let the fuzzy hash be made, or end."""
        is_large = facts.size > self._settings.maximum_fuzzy_bytes
        if not self._settings.fuzzy:
            self._settle(job, keep=True)
        elif not job.fuzzy:  # who wants it later can have it
            self._settle(job, keep=True, rest=Rest.NOTHING if is_large else Rest.SKIPPED)
        elif is_large:
            self._skip(job, Skip.FUZZY_SIZE, keep=True)
        elif not self.budget.allows(fuzzy=True):
            self._skip(job, Skip.FUZZY_BUDGET, keep=True, rest=Rest.SKIPPED)
        else:
            job.digested.set()
            if not self.slow.put(job):
                self._skip(job, Skip.FUZZY_QUEUE, keep=True, rest=Rest.SKIPPED)

    def _fuzzy(self, job: Job) -> None:
        assert job.facts is not None  # noqa: S101 - the digests come first
        if not self.budget.allows(fuzzy=True):
            self._skip(job, Skip.FUZZY_BUDGET, keep=True, rest=Rest.SKIPPED)
        elif self._open(job) and (result := self._ask(job, wire.FUZZY)) is not None:
            job.facts = replace(job.facts, fuzzy=result.decode())
            self._settle(job, keep=True)

    def _open(self, job: Job) -> bool:
        """Return whether the job has its file; else it has ended."""
        if job.opened is not None:
            return True
        try:
            opened = self.opener.open(job.identity, job.paths, self._limits.opening)
        except OpenTimeout:
            job.facts = job.facts or known_of(job.identity)
            self._skip(job, Skip.NO_OPEN, keep=True)
            return False
        if opened is None:  # deleted or replaced meanwhile
            self._settle(job, keep=False)
            return False
        job.take(opened)
        return True

    def _ask(self, job: Job, lane: int) -> bytes | None:
        """Return what the process found; None when it found nothing, and the job has ended."""
        try:
            outcome, result = self._ask_twice(job, lane)
        except ProcessHung:
            self._skip(job, Skip.HUNG, keep=True)
        except ProcessDied:
            self._skip(job, Skip.UNREADABLE, keep=True)
        except ProcessUnavailable:
            rest = Rest.SKIPPED if lane == wire.FUZZY else Rest.NOTHING
            self._skip(job, Skip.NO_PROCESS, keep=lane == wire.FUZZY, rest=rest)
        else:
            if outcome == wire.DONE:
                return result
            self._skip(job, OUTCOMES[outcome], keep=outcome != wire.CHANGED)
        return None

    def _ask_twice(self, job: Job, lane: int) -> tuple[int, bytes]:
        """Ask again after a death, for which the file of the other lane may have been the cause."""
        assert job.opened is not None  # noqa: S101 - callers open it
        limit = self._limits.of_lane(lane, job.opened.facts.size)
        try:
            return self.process.ask(lane, job.opened, limit)
        except ProcessDied:
            return self.process.ask(lane, job.opened, limit)

    def _failed(self, job: Job) -> None:
        self._skip(job, Skip.FAILED, keep=False)

    def _skip(self, job: Job, why: Skip, *, keep: bool, rest: Rest = Rest.NOTHING) -> None:
        self.tally.add(why)
        self._settle(job, keep=keep, rest=rest)

    def _settle(self, job: Job, *, keep: bool, rest: Rest = Rest.NOTHING) -> None:
        """End a job with what is known of its file so far."""
        job.end(replace(job.facts, rest=rest) if job.facts is not None else None, keep=keep)


OUTCOMES = {
    wire.CHANGED: Skip.CHANGED,
    wire.UNREADABLE: Skip.UNREADABLE,
    wire.TOO_COSTLY: Skip.FUZZY_COST,
}
"""Why there is no result."""
