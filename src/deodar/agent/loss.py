"""The book of what was lost in the agent: nothing goes without a count, a place and a reason.

What nobody was told of yet is also in a small file, so that a killed agent tells of it when it
runs again. The file is replaced in one step, when something has changed and at most once a second,
and at once where a count must go together with a step on the disk. What can still go uncounted:
losses of the last second before a SIGKILL, and all that a full disk kept from the file.

A loss leaves the book when the event that tells of it is in the spool; the spool does that by the
ids that the packet's header names in `reports`. The event carries the loss's `id` as its own: where
a full disk kept the book from being written, the loss may be told twice, and is known by it.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING

import msgspec

from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

EVERY = 1.0
"""Seconds between two writes of the file for counts that may wait."""
_log = logger("agent.loss")


class Loss(msgspec.Struct):
    """Events lost at one place for one reason, between two times (ns since the epoch)."""

    count: int
    stage: str
    reason: str
    first_ns: int
    last_ns: int
    id: str = ""
    """The Id of the event that tells of it, given when it is taken to be told."""


class Kept(msgspec.Struct, omit_defaults=True):
    """The content of the file."""

    open: list[Loss] = []
    told: list[Loss] = []
    """Taken to be told, and not yet known to be in the spool."""
    intended: dict[str, Loss] = {}
    """Losses that go together with a step on the disk; the key tells whether it was done."""
    running: float | None = None
    """When the agent last said that it runs; None when it was stopped in good order."""


class LossBook:
    """Losses that nobody was told of yet, and totals by stage. For any thread."""

    def __init__(
        self, path: Path | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Go on with what the file holds; without a path nothing outlives the process."""
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._file_lock = threading.Lock()
        self._totals: dict[tuple[str, str], int] = {}
        kept = Kept() if path is None else _read(path)
        self._open = {(loss.stage, loss.reason): loss for loss in kept.open}
        self._again = kept.told
        self._told: dict[str, Loss] = {}
        self._intended = kept.intended
        self._running = self._unclean = kept.running
        self._changed = False
        self._written = -EVERY
        self.problem = ""
        """Why the file could not be written; "" when it could."""

    def add(self, count: int, stage: str, reason: str, first_ns: int = 0, last_ns: int = 0) -> None:
        """Count `count` lost events; without times, they were lost now."""
        if count <= 0:
            return
        now = time.time_ns()
        with self._lock:
            self._add(Loss(count, stage, reason, first_ns or now, last_ns or now))

    def take(self) -> list[Loss]:
        """Return what was not told yet, each with the `id` that its event has to carry.

        It stays in the file until `confirm` says that the event is in the spool. What a killed
        agent had taken and did not confirm comes once more, with the same id.
        """
        if not self._open and not self._again:
            return []
        with self._lock:
            taken = [*self._again, *self._open.values()]
            self._open, self._again = {}, []
            for loss in taken:
                loss.id = loss.id or str(uuid.uuid4())
                self._told[loss.id] = loss
        self._write()
        return taken

    def confirm(self, ids: Iterable[str]) -> None:
        """Forget losses whose events are in the spool; ids that are not known change nothing."""
        with self._lock:
            before = len(self._told) + len(self._again)
            for one in ids:
                self._told.pop(one, None)
                self._again = [loss for loss in self._again if loss.id != one]
            if len(self._told) + len(self._again) == before:
                return
        self._write()

    def totals(self) -> dict[str, int]:
        """Return lost events by stage since the agent started."""
        totals: dict[str, int] = {}
        for (stage, _), count in self.by_reason().items():
            totals[stage] = totals.get(stage, 0) + count
        return totals

    def by_reason(self) -> dict[tuple[str, str], int]:
        """Return lost events by stage and reason since the agent started, the most first."""
        with self._lock:
            return dict(sorted(self._totals.items(), key=lambda item: -item[1]))

    def save(self, *, now: bool = False) -> None:
        """Write the file if something has changed; at most once a second, unless `now`."""
        if self._changed and (now or self._clock() - self._written >= EVERY):
            self._write()

    # Losses that belong to a step on the disk

    def intend(self, mark: str, loss: Loss) -> None:
        """Write down a loss before the step that brings it about; `mark` tells if it was done."""
        with self._lock:
            self._intended[mark] = loss
        self._write()

    def intended(self) -> list[str]:
        """Return the marks of steps that are not settled."""
        with self._lock:
            return list(self._intended)

    def resolve(self, mark: str, *, done: bool) -> None:
        """Count the loss of a step that was done, forget that of one that was not."""
        with self._lock:
            loss = self._intended.pop(mark, None)
            self._changed = True
            if loss is not None and done:
                self._add(loss)

    # Whether the agent was killed

    def mark_running(self, now: float) -> None:
        """Note that the agent runs at `now` (s since the epoch). To be called once a minute."""
        with self._lock:
            self._running = now
        self._write()

    def mark_stopped(self) -> None:
        """Note that the agent was stopped in good order."""
        with self._lock:
            self._running = None
        self._write()

    def unclean_since(self) -> float | None:
        """Return when the agent before this one last said that it ran, if it was killed."""
        return self._unclean

    def _add(self, loss: Loss) -> None:
        self._changed = True
        key = (loss.stage, loss.reason)
        self._totals[key] = self._totals.get(key, 0) + loss.count
        known = self._open.get(key)
        if known is None:
            self._open[key] = loss
            return
        known.count += loss.count
        known.first_ns = min(known.first_ns, loss.first_ns)
        known.last_ns = max(known.last_ns, loss.last_ns)

    def _write(self) -> None:
        if self._path is None:
            return
        with self._file_lock:
            self._written = self._clock()
            try:
                self._replace(self._path)
            except OSError as error:
                if not self.problem:
                    _log.warning("the losses could not be written down", error=str(error))
                self._changed, self.problem = True, str(error)
            else:
                self.problem = ""

    def _replace(self, path: Path) -> None:
        with self._lock:
            self._changed = False
            told = [*self._again, *self._told.values()]
            kept = Kept(list(self._open.values()), told, self._intended, self._running)
            text = msgspec.json.encode(kept)
        aside = path.with_name(f".{path.name}.new")
        aside.write_bytes(text)
        aside.chmod(0o600)
        aside.replace(path)


def _read(path: Path) -> Kept:
    """Return what the file holds; one that cannot be read is set aside."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, msgspec.DecodeError) as error:
        _log.error("the file of losses cannot be read", file=str(path), error=str(error))
    try:
        path.replace(path.with_name(path.name + ".damaged"))
    except OSError:
        _log.warning("the damaged file of losses could not be set aside", file=str(path))
    return Kept()
