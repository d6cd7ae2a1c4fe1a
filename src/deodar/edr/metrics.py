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
    from deodar.edr.log.retention import Account
    from deodar.edr.log.view import View
    from deodar.edr.space import Space


def registry(
    log: View, dead_letters: DeadLetterStore, account: Account, space: Space
) -> CollectorRegistry:
    """Return a registry that shows the event log, its retention and room, and the dead letters."""
    made = CollectorRegistry()
    made.register(_Parts(log, dead_letters))
    made.register(_Retention(log, account, space))
    return made


class _Retention(Collector):
    def __init__(self, log: View, account: Account, space: Space) -> None:
        self._log = log
        self._account = account
        self._space = space

    def collect(self) -> Iterator[Metric]:
        for name, text, counts in (
            ("days", "Days that retention dropped", self._account.days),
            ("events", "Events that retention dropped", self._account.events),
            ("bytes", "Bytes on the disk that retention dropped", self._account.bytes),
        ):
            family = CounterMetricFamily(f"deodar_edr_dropped_{name}", text, labels=["reason"])
            for reason, count in counts.items():
                family.add_metric([reason], count)
            yield family
        for name, text, value in (
            ("log_bytes", "Bytes of the event log on the disk, once a minute", self._account.size),
            ("floor_seq", "The last sequence number that retention dropped", self._log.floor),
            ("free_bytes", "Bytes free on the fullest of the server's disks", self._space.free),
            ("full", "1 while packets are refused for want of room", int(self._full())),
        ):
            yield GaugeMetricFamily(f"deodar_edr_{name}", text, value=value)

    def _full(self) -> bool:
        return self._space.shortage() is not None


class _Parts(Collector):
    def __init__(self, log: View, dead_letters: DeadLetterStore) -> None:
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
