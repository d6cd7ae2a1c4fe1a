"""The first half of the pipeline: a thread that only empties the sensor into a bounded queue.

So the kernel's buffer never waits for a slow disk. What does not fit into the queue is dropped and
counted; a source that can wait, a replay, is not read then. The queue is bounded by memory: a
record with long arguments counts as many.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Protocol

from deodar.agent.sensors.base import Exec
from deodar.agent.threads import WatchedThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.loss import LossBook
    from deodar.agent.sensors.base import SensorCounters

READ_TIMEOUT = 5.0
USUAL_BYTES = 1024
"""Bytes of arguments that a record may have to count as one."""
PAUSE = 0.01


class Source(Protocol):
    """A sensor of the kernel, or a replay."""

    def read(self, timeout: float) -> Sequence[Any]:
        """Return a batch of records, [] on timeout or when interrupted."""
        ...

    def interrupt(self) -> None:
        """Let a `read` that waits return at once."""
        ...

    def counters(self) -> SensorCounters:
        """Return totals."""
        ...


class Intake:
    """Reads a source and keeps what it gave until it is taken."""

    def __init__(
        self, source: Source, losses: LossBook, limit: int, must_wait: Callable[[], bool]
    ) -> None:
        """`limit` is in records of usual size; `must_wait` tells when a replay must."""
        self._source = source
        self._losses = losses
        self._limit = limit
        self._must_wait = must_wait
        self._lossless = bool(getattr(source, "lossless", False))
        self._queue: queue.SimpleQueue[Sequence[Any]] = queue.SimpleQueue()
        self._put = self._got = 0
        self._weight_put = self._weight_got = 0
        self._entrance = threading.Lock()
        self._stop = threading.Event()
        self._read_all = threading.Event()
        self._reader = WatchedThread("reader", self._read)

    @property
    def lossless(self) -> bool:
        """Whether the source can wait, and gives again what was not worked off."""
        return self._lossless

    @property
    def records(self) -> int:
        """Records that came so far."""
        return self._put

    @property
    def waiting(self) -> int:
        """Records in the queue."""
        return self._put - self._got

    @property
    def failure(self) -> str:
        """Why nothing is read any more; "" when that is as it should be."""
        return self._reader.failure

    @property
    def is_over(self) -> bool:
        """Whether all was taken, and nothing more is to come."""
        return self._read_all.is_set() and self._queue.empty()

    def start(self) -> None:
        """Begin to read."""
        self._reader.start()

    def stop(self, timeout: float) -> None:
        """Read no more; what is in the queue can still be taken."""
        self._stop.set()
        self._source.interrupt()
        self._reader.join(timeout)
        self._end()

    def put(self, batch: Sequence[Any]) -> None:
        """Let `take` return this besides the source's records; any thread may."""
        self._queue.put(batch)

    def offer(self, batch: Sequence[Any]) -> None:
        """Take in records of another source; those that do not fit are counted as lost.

        Any thread may.
        """
        if batch and not self._stop.is_set():
            self._enqueue(batch)

    def take(self, wait: float) -> Sequence[Any]:
        """Return the next batch, () when none comes within `wait` seconds."""
        try:
            return self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
        except queue.Empty:
            return ()

    def done(self, record: Any) -> None:
        """Note that one of the source's records was worked off."""
        self._got += 1
        self._weight_got += weight(record)

    def _read(self) -> None:
        while not self._stop.is_set():
            if self._lossless and (self.waiting > 1 or self._must_wait()):
                self._stop.wait(PAUSE)
                continue
            batch = self._source.read(READ_TIMEOUT)
            if batch:
                self._enqueue(batch)
            elif getattr(self._source, "finished", False):
                break
        if not self._lossless:  # what came before the end is no loss
            self._enqueue(self._source.read(0.0))
        self._end()

    def _end(self) -> None:
        self._read_all.set()
        self._queue.put(())

    def _enqueue(self, batch: Sequence[Any]) -> None:
        with self._entrance:
            taken = len(batch) if self._lossless else self._fitting(batch)
            self._put += taken
            if taken:
                self._queue.put(batch[:taken])
        dropped = batch[taken:]
        if dropped:
            first, last = dropped[0].time_ns, dropped[-1].time_ns
            self._losses.add(len(dropped), "queue", "enrichment could not keep up", first, last)

    def _fitting(self, batch: Sequence[Any]) -> int:
        """Return how many of a batch's records still fit, and count them in."""
        room = self._limit - (self._weight_put - self._weight_got)
        for number, record in enumerate(batch):
            needed = weight(record)
            if needed > room:
                return number
            room -= needed
            self._weight_put += needed
        return len(batch)


def weight(record: Any) -> int:
    """Return as how many records of usual size a record counts."""
    return 1 + sum(map(len, record.argv)) // USUAL_BYTES if type(record) is Exec else 1
