"""The way through the agent: sensor, queue, enrichment, packets, spool.

Two threads. The reader only empties the sensor, so that the kernel's buffer never waits for a
slow disk; the worker makes events of the records and packs them. The queue between them is
bounded; what does not fit is counted, and the count is sent as an event itself.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from deodar.agent.enrich.events import Event, event_of, loss_fields
from deodar.agent.packets import Packer
from deodar.agent.sensors.replay import ReplayBlock
from deodar.agent.threads import WatchedThread
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.loss import LossBook
    from deodar.agent.sensors.base import Record, SensorCounters
    from deodar.agent.settings import AgentSettings
    from deodar.agent.spool import Spool

READ_TIMEOUT = 0.2
HOUSEKEEPING = 1.0
PAUSE = 0.01
_log = logger("agent.pipeline")


class Source(Protocol):
    """A sensor of the kernel, or a replay."""

    def read(self, timeout: float) -> Sequence[Any]:
        """Return a batch of records, [] on timeout."""
        ...

    def counters(self) -> SensorCounters:
        """Return totals."""
        ...


@dataclass
class PipelineCounters:
    """Totals since the start, for the status. Each is written by one thread only."""

    records: int = 0
    events: int = 0
    packets: int = 0
    failed: int = 0
    """Records of which no event could be made."""


class Pipeline:
    """Carries what a sensor sees into the spool, until it is stopped."""

    def __init__(
        self,
        source: Source,
        context: Context,
        spool: Spool,
        losses: LossBook,
        settings: AgentSettings,
    ) -> None:
        self.counters = PipelineCounters()
        self.finished = threading.Event()
        """Set when the source has come to its end and all of it is in the spool."""
        self._source = source
        self._context = context
        self._spool = spool
        self._losses = losses
        self._settings = settings
        self._lossless = bool(getattr(source, "lossless", False))
        self._queue: queue.SimpleQueue[Sequence[Any]] = queue.SimpleQueue()
        self._put = self._got = 0
        self._stop = threading.Event()
        self._read_all = threading.Event()
        self._packer = Packer()
        self._lines: list[bytes] = []
        self._bytes = 0
        self._times = (0, 0)
        self._flush_at = float("inf")
        self._reader = WatchedThread("reader", self._read)
        self._worker = WatchedThread("worker", self._work)

    @property
    def waiting(self) -> int:
        """Records in the queue."""
        return self._put - self._got

    @property
    def failure(self) -> str:
        """Why the pipeline has come to a halt; "" while it works."""
        return self._reader.failure or self._worker.failure

    def start(self) -> None:
        """Begin to read and to work."""
        self._reader.start()
        self._worker.start()

    def stop(self, timeout: float) -> None:
        """Stop reading, work off the queue, store the last packet; takes `timeout` s at most."""
        deadline = time.monotonic() + timeout
        self._stop.set()
        self._reader.join(timeout)
        self._read_all.set()
        self._worker.join(max(0.0, deadline - time.monotonic()))

    def _read(self) -> None:
        while not self._stop.is_set():
            if self._lossless and self._is_congested():
                self._stop.wait(PAUSE)
                continue
            batch = self._source.read(READ_TIMEOUT)
            if batch:
                self._enqueue(batch)
            elif getattr(self._source, "finished", False):
                break
        self._read_all.set()

    def _enqueue(self, batch: Sequence[Any]) -> None:
        room = len(batch) if self._lossless else max(0, self._limit - self.waiting)
        dropped, batch = batch[room:], batch[:room]
        if dropped:
            first, last = dropped[0].time_ns, dropped[-1].time_ns
            self._losses.add(len(dropped), "queue", "enrichment could not keep up", first, last)
        self.counters.records += len(batch)
        self._put += len(batch)
        if batch:
            self._queue.put(batch)

    @property
    def _limit(self) -> int:
        return self._settings.sensor.queue_records

    def _is_congested(self) -> bool:
        """Whether a source that can wait should: blocks are queued, or the spool fills up."""
        if self.waiting > 1:
            return True
        state = self._spool.state()
        return state.held_packets > 0 or state.bytes > self._settings.spool.maximum_bytes // 2

    def _work(self) -> None:
        housekeeping = time.monotonic() + HOUSEKEEPING
        while not (self._read_all.is_set() and self._queue.empty()):
            self._work_on(self._next_batch())
            now = time.monotonic()
            if now >= self._flush_at:
                self._flush()
            if now >= housekeeping:
                housekeeping = now + HOUSEKEEPING
                self._keep_house()
        self._keep_house()
        self._flush()
        self.finished.set()

    def _next_batch(self) -> Sequence[Any]:
        wait = min(max(self._flush_at - time.monotonic(), 0.0), READ_TIMEOUT)
        try:
            return self._queue.get(timeout=wait) if wait else self._queue.get_nowait()
        except queue.Empty:
            return ()

    def _work_on(self, batch: Sequence[Any]) -> None:
        for record in batch:
            if isinstance(record, ReplayBlock):
                self._pass_on(record)
            else:
                self._enrich(record)
            self._got += 1

    def _pass_on(self, block: ReplayBlock) -> None:
        self._flush()
        self._spool.put(self._packer.pack_text(block.text, block.header))
        self.counters.events += block.header.events
        self.counters.packets += 1

    def _enrich(self, record: Record) -> None:
        try:
            event = event_of(self._context, record)
            line = orjson.dumps(event)
        except Exception as error:  # noqa: BLE001 - one odd record must not stop the rest
            self.counters.failed += 1
            kind = type(record).__name__
            reason = f"no event could be made of a record ({kind}): {type(error).__name__}"
            self._losses.add(1, "enrich", reason, record.time_ns, record.time_ns)
            _log.warning(reason, error=str(error)[:200])
            return
        self._add(line, event["Timestamp"])

    def _add(self, line: bytes, time_us: int) -> None:
        limits = self._settings.transfer
        if self._bytes + len(line) >= limits.maximum_bytes:
            self._flush()
        if not self._lines:
            self._times = (time_us, time_us)
            self._flush_at = time.monotonic() + limits.maximum_delay
        self._lines.append(line)
        self._bytes += len(line) + 1
        self._times = (min(self._times[0], time_us), max(self._times[1], time_us))
        if len(self._lines) >= limits.maximum_events:
            self._flush()

    def _flush(self) -> None:
        self._flush_at = float("inf")
        if not self._lines:
            return
        lines, self._lines, self._bytes = self._lines, [], 0
        self._spool.put(self._packer.pack(lines, *self._times))
        self.counters.events += len(lines)
        self.counters.packets += 1

    def _keep_house(self) -> None:
        for loss in self._losses.take():
            fields = loss_fields(loss.count, loss.stage, loss.reason, loss.first_ns, loss.last_ns)
            event: Event = {**self._context.common(), **fields}
            event["Id"] = next(self._context.event_ids)
            event["Timestamp"] = time.time_ns() // 1000
            self._add(orjson.dumps(event), event["Timestamp"])
        self._spool.settle()
