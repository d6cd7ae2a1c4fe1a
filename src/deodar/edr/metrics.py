"""The server's metrics for Prometheus, read from its parts when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from deodar.columnar.dead_letters import DeadLetterStore
    from deodar.edr.log.eventlog import EventLog


def registry(log: EventLog, dead_letters: DeadLetterStore) -> CollectorRegistry:
    """Return a registry that shows the event log and the dead letters."""
    made = CollectorRegistry()
    made.register(_Parts(log, dead_letters))
    return made


class _Parts(Collector):
    def __init__(self, log: EventLog, dead_letters: DeadLetterStore) -> None:
        self._log = log
        self._dead_letters = dead_letters

    def collect(self) -> Iterator[Metric]:
        counters = self._log.counters
        for name, text, count in (
            ("events", "Events committed to the log", counters.events),
            ("packets", "Packets committed to the log", counters.packets),
            ("blocks", "Blocks written to the store", counters.blocks),
            ("store_failures", "Blocks that the store refused", counters.failures),
            ("dead_letters_dropped", "Dead letters lost", self._dead_letters.dropped),
        ):
            yield CounterMetricFamily(f"deodar_edr_{name}", text, value=count)
        for name, text, value in (
            ("last_seq", "The last sequence number", self._log.watermark.value),
            ("queued_events", "Events that wait to be committed", self._log.queued),
            ("waiting_requests", "Requests that wait for events", self._log.watermark.waiting),
            ("dead_letters", "Dead letters kept", self._dead_letters.count),
            ("failing", "1 while the store takes nothing", int(self._log.failure is not None)),
        ):
            yield GaugeMetricFamily(f"deodar_edr_{name}", text, value=value)
