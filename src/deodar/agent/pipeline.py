"""The way through the agent: sensor, queue, exclusions, throttle, gate, enrichment, packets, spool.

Two threads. The reader only empties the sensor, so that the kernel's buffer never waits for a
slow disk; the worker makes events of the records and packs them. The queue between them is
bounded; what does not fit is counted, and the count is sent as an event itself. Whether a record
becomes an event at all is decided before the costly part, since its type is known at once. Both
threads sleep while there is nothing to do: what needs them wakes them.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from deodar.agent.batch import Batch
from deodar.agent.enrich.converters import MODULES as _CONVERTERS  # noqa: F401 - enters them
from deodar.agent.enrich.fields import loss_fields
from deodar.agent.enrich.registry import LEVELS, TYPES, Event, follow, line_of
from deodar.agent.enrich.trust import TrustKeeper
from deodar.agent.gather.chain import Gatherers
from deodar.agent.intake import Intake
from deodar.agent.packets import Packer
from deodar.agent.sensors.base import Lost
from deodar.agent.sensors.replay import ReplayBlock
from deodar.agent.sightings import Sightings
from deodar.agent.threads import WatchedThread, until_look
from deodar.agent.throttle import Throttle, ThrottleLimits
from deodar.events import importance
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deodar.agent.enrich.context import Context
    from deodar.agent.exclusions import Exclusions
    from deodar.agent.gather.chain import Gatherer
    from deodar.agent.intake import Source
    from deodar.agent.loss import LossBook
    from deodar.agent.sensors.base import Record
    from deodar.agent.settings import AgentSettings
    from deodar.agent.spool import Spool
    from deodar.agent.throttle import Notify

HOUSEKEEPING = 1.0
IDLE_HOUSEKEEPING = 8.0
"""Seconds between two looks at losses and held packets, when nothing came in between."""
REPORT_EVERY = 60.0
"""Seconds between two reports of losses that go on; the first is made at once."""
GATE = "gate"
LAST_RECORD = 3.0
"""Seconds that a stop gives the record that is being worked on, and the last packet."""
STOPPED_EARLY = "the agent was stopped before it could work off what it had seen"
_log = logger("agent.pipeline")


@dataclass(frozen=True, kw_only=True)
class PipelinePolicy:
    """What the tasks' settings want of the pipeline."""

    exclusions: Exclusions | None = None
    throttle: ThrottleLimits = field(default_factory=ThrottleLimits)
    send: bool = True
    """Whether events are taken at all: the gate."""
    gate_reason: str = ""
    """Why they are not."""
    store_delay: float = 1.0
    """Seconds after which an event is in the spool at the latest."""


@dataclass
class PipelineCounters:
    """Totals since the start, for the status. Each is written by one thread only."""

    records: int = 0
    events: int = 0
    packets: int = 0
    failed: int = 0
    """Records of which no event could be made."""
    excluded: int = 0
    """Records of trusted programs."""
    gated: int = 0
    """Records that came while the gate was closed."""
    throttled: int = 0
    """Records that were held back."""


class Told(NamedTuple):
    """An event of the agent itself."""

    event_type: str
    fields: Event


_NO_ACTS = frozenset({Told, ReplayBlock, Lost})


class Pipeline:
    """Carries what a sensor sees into the spool, until it is stopped."""

    def __init__(
        self,
        source: Source,
        context: Context,
        spool: Spool,
        losses: LossBook,
        settings: AgentSettings,
        policy: PipelinePolicy | None = None,
        *,
        gatherers: Sequence[Gatherer] = (),
        sightings: Sightings | None = None,
        notify: Notify | None = None,
    ) -> None:
        """`notify` is called with the type and details of the agent's own events (throttling)."""
        self.counters = PipelineCounters()
        self.finished = threading.Event()
        """Set when the source has come to its end and all of it is in the spool."""
        self._context = context
        self._spool = spool
        self._losses = losses
        self._spool_limit = settings.spool.maximum_bytes // 2
        limit = settings.sensor.queue_records
        self._intake = Intake(source, losses, limit, self._is_congested)
        self._wanted = policy or PipelinePolicy()
        self._policy = PipelinePolicy()
        self._trust: TrustKeeper | None = None
        self._throttle = Throttle(self._wanted.throttle, losses, notify)
        self._gatherers = Gatherers(gatherers)
        self._sightings = sightings or Sightings()
        self._packer = Packer()
        self._batch = Batch(settings.transfer)
        self._next_report = 0.0
        self._is_late = False
        """Whether a stop has waited long enough for what is in the queue."""
        self._worker = WatchedThread("worker", self._work)

    @property
    def waiting(self) -> int:
        """Records in the queue."""
        return self._intake.waiting

    @property
    def throttled_since(self) -> float | None:
        """Since when events are held back, in s since the epoch; None when none are."""
        return self._throttle.active_since

    @property
    def failure(self) -> str:
        """Why the pipeline has come to a halt; "" while it works."""
        return self._intake.failure or self._worker.failure

    def start(self) -> None:
        """Begin to read and to work."""
        self._intake.start()
        self._worker.start()

    def apply(self, policy: PipelinePolicy) -> None:
        """Follow another policy from the next record on. For any thread."""
        self._wanted = policy
        self._intake.put(())

    def tell(self, event_type: str, fields: Event) -> None:
        """Put an event of the agent itself into the stream, whatever is held back. Any thread."""
        self._intake.put((Told(event_type, fields),))

    def offer(self, records: Sequence[Record]) -> None:
        """Take records of another source than the sensor; what does not fit is counted.

        For any thread.
        """
        self._intake.offer(records)

    def stop(self, timeout: float) -> None:
        """Stop reading, work off the queue, store the last packet.

        What cannot be worked off within `timeout` seconds is counted as lost.
        """
        deadline = time.monotonic() + timeout
        self._intake.stop(timeout)
        self._worker.join(max(0.0, deadline - time.monotonic()))
        if self._worker.is_alive():
            self._is_late = True
            self._worker.join(LAST_RECORD)

    def _work(self) -> None:
        next_look = time.monotonic() + HOUSEKEEPING
        while not self._intake.is_over and not self._is_late:
            if self._wanted is not self._policy:
                self._follow_policy(self._wanted)
            wait = min(self._batch.due, next_look) - time.monotonic()
            batch = self._intake.take(wait)
            self._work_on(batch)
            now = time.monotonic()
            if now >= self._batch.due:
                self._flush()
            if now >= next_look:
                self._keep_house()
                next_look = now + until_look(IDLE_HOUSEKEEPING)
            if batch or self._gatherers.waiting:
                next_look = min(next_look, now + until_look(HOUSEKEEPING))
        self._take_all(self._gatherers.due(time.monotonic(), last=True))
        self._count_the_rest()
        self._next_report = 0.0
        self._keep_house()
        self._flush()
        self.finished.set()

    def _count_the_rest(self) -> None:
        """Count what a stop leaves in the queue; a source that can wait gives it once more."""
        left = self._intake.waiting
        if left and not self._intake.lossless:
            now = time.time_ns()
            self._losses.add(left, "queue", STOPPED_EARLY, now, now)

    def _follow_policy(self, policy: PipelinePolicy) -> None:
        if policy.exclusions is not self._policy.exclusions:
            exclusions = policy.exclusions
            self._trust = TrustKeeper(self._context, exclusions) if exclusions else None
        self._throttle.change(policy.throttle)
        if policy.send and not self._policy.send:
            self._next_report = 0.0  # what was missed is told before what comes next
            self._report_losses()
        self._policy = policy

    def _is_congested(self) -> bool:
        """Whether a source that can wait should: the gate is closed, or the spool fills up."""
        state = self._spool.state()
        is_full = state.held_packets > 0 or state.bytes > self._spool_limit
        return is_full or not self._wanted.send

    def _work_on(self, batch: Sequence[Any]) -> None:
        for record in batch:
            if self._is_late:
                return
            if type(record) not in _NO_ACTS:
                self._take_all(self._gatherers.through(record))
            elif isinstance(record, Told):
                self._tell(record.event_type, record.fields)
                continue
            elif isinstance(record, ReplayBlock):
                self._pass_on(record)
            elif isinstance(record, Lost):
                reason = f"{record.reason} ({record.event})" if record.event else record.reason
                now = record.time_ns
                self._losses.add(record.count, record.stage, reason, now, now)
            self._intake.done(record)
        self.counters.records = self._intake.records

    def _pass_on(self, block: ReplayBlock) -> None:
        self._flush()
        self._spool.put(self._packer.pack_text(block.text, block.header))
        self.counters.events += block.header.events
        self.counters.packets += 1

    def _take_all(self, records: Sequence[Record]) -> None:
        for record in records:
            self._take(record)

    def _take(self, record: Record) -> None:
        try:
            self._decide(record)
        except Exception as error:  # noqa: BLE001 - one odd record must not stop the rest
            self.counters.failed += 1
            kind = type(record).__name__
            reason = f"no event could be made of a record ({kind}): {type(error).__name__}"
            self._losses.add(1, "enrich", reason, record.time_ns, record.time_ns)
            _log.warning(reason, error=str(error)[:200])

    def _decide(self, record: Record) -> None:
        if self._trust is not None and self._trust.excludes(record):
            self.counters.excluded += 1
            return
        kind = type(record)
        event_type, level = TYPES[kind], LEVELS[kind]
        if not self._policy.send:
            self._losses.add(1, GATE, self._policy.gate_reason, record.time_ns, record.time_ns)
            self.counters.gated += 1
            follow(self._context, record)
        elif not self._throttle.admits(event_type, level, record.time_ns):
            self.counters.throttled += 1
            follow(self._context, record)
        else:
            line = line_of(self._context, record)
            self._sightings.note(line)
            self._add(line.text, line.time_us, level)
        if self._trust is not None:
            self._trust.note(record)

    def _tell(self, event_type: str, fields: Event, identity: str = "") -> None:
        event = {**self._context.common(), "EventType": event_type, **fields}
        event["Id"] = identity or next(self._context.event_ids)
        now = event["Timestamp"] = time.time_ns() // 1000
        self._add(orjson.dumps(event), now, importance.of(event_type), report=identity)

    def _add(
        self, line: bytes, time_us: int, level: importance.Importance, report: str = ""
    ) -> None:
        if not self._batch.has_room(line):
            self._flush()
        self._batch.add(line, time_us, level, self._policy.store_delay, report)

    def _flush(self) -> None:
        if len(self._batch):
            self.counters.events += len(self._batch)
            self.counters.packets += 1
            self._spool.put(self._batch.take())

    def _keep_house(self) -> None:
        self._take_all(self._gatherers.due(time.monotonic()))
        self._throttle.settle()
        if self._policy.send:
            self._report_losses()
        self._losses.save()
        self._sightings.save()
        self._spool.settle()

    def _report_losses(self) -> None:
        now = time.monotonic()
        if now < self._next_report:
            return
        for loss in self._losses.take():
            self._next_report = now + REPORT_EVERY
            fields = loss_fields(loss.count, loss.stage, loss.reason, loss.first_ns, loss.last_ns)
            self._tell("telemetry_loss", fields, loss.id)
