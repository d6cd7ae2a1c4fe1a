"""The ten conditions that make a service yellow, by what it reported over a window of time.

Their names are those that KUMA shows. What "increases" is the growth of a count, or of what waits,
between the first and the last report of the window. All are judged by the core from reports, which
come every few seconds, so a condition shows within the window and is over a window after its end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deodar.siem.services.settings import AlertSettings
    from deodar.siem.services.wire import Measures, Partition

_MOST = 512  # reports that are kept of one service


@dataclass(frozen=True)
class Sample:
    """What was reported at a moment (s, of a clock that only goes forward)."""

    at: float
    boot: str
    measures: Measures


class History:
    """The reports of one service over the last window; a new start of its process begins anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[Sample] = deque(maxlen=_MOST)

    def add(self, sample: Sample) -> None:
        """Take a report, and drop those that are older than the window."""
        if self._samples and self._samples[-1].boot != sample.boot:
            self._samples.clear()
        self._samples.append(sample)
        # The last one before the window stays: growth is measured from it.
        while len(self._samples) > 1 and self._samples[1].at <= sample.at - self._seconds:
            self._samples.popleft()

    @property
    def last(self) -> Measures:
        """The newest report."""
        return self._samples[-1].measures

    @property
    def span(self) -> float:
        """Seconds between the first and the last report."""
        return self._samples[-1].at - self._samples[0].at

    def growth(self, of: Callable[[Measures], float]) -> float:
        """Return by how much a value is greater now than at the window's beginning."""
        return of(self._samples[-1].measures) - of(self._samples[0].measures)

    def rate(self, of: Callable[[Measures], float]) -> float:
        """Return a count's growth each second of the window; 0 with one report."""
        return self.growth(of) / self.span if self.span else 0.0


@dataclass(frozen=True)
class Condition:
    """A named condition; `holds` returns what was seen, or "" when all is well."""

    name: str
    about: str
    threshold: str
    holds: Callable[[History, AlertSettings], str]


def judge(history: History, settings: AlertSettings) -> Iterator[tuple[str, str]]:
    """Yield (name, what was seen) of each condition that holds."""
    for condition in CONDITIONS:
        seen = condition.holds(history, settings)
        if seen:
            yield condition.name, seen


def _searches(history: History, settings: AlertSettings) -> str:
    rate = history.rate(lambda now: now.searches)
    if rate < settings.searches_per_second:
        return ""
    return f"{rate:.1f} searches a second, the threshold is {settings.searches_per_second:g}"


def _failed_inserts(history: History, settings: AlertSettings) -> str:
    rate = history.rate(lambda now: now.failed_inserts)
    limit = settings.failed_inserts_per_second
    return f"{rate:.2f} inserts fail a second, the threshold is {limit:g}" if rate >= limit else ""


def _distribution_queue(history: History, settings: AlertSettings) -> str:
    waiting = history.last.distribution_queue
    if waiting < settings.distribution_queue:
        return ""
    return f"{waiting:.0f} blocks wait for the cluster's nodes"


def _disk(history: History, settings: AlertSettings) -> str:
    return _low([one for one in history.last.partitions if one.state], settings.disk_free_percent)


def _partition(history: History, settings: AlertSettings) -> str:
    others = [one for one in history.last.partitions if not one.state]
    return _low(others, settings.partition_free_percent)


def _low(partitions: list[Partition], percent: float) -> str:
    for one in partitions:
        free = 100 * one.free / one.total if one.total else 100.0
        if free < percent:
            return f"{one.path} has {free:.1f} % free ({one.free / 2**30:.1f} GB)"
    return ""


def _output_loss(history: History, settings: AlertSettings) -> str:
    lost = history.growth(lambda now: now.lost)
    return f"{lost:.0f} events were given up or refused" if lost >= settings.lost_events else ""


def _buffer(history: History, settings: AlertSettings) -> str:
    grown = history.growth(lambda now: now.buffer_bytes)
    if grown < settings.buffer_growth_bytes:
        return ""
    return f"by {grown / 2**20:.1f} MB to {history.last.buffer_bytes / 2**20:.1f} MB"


def _enrichment_errors(history: History, settings: AlertSettings) -> str:
    errors = history.growth(lambda now: now.enrichment_errors)
    return f"by {errors:.0f}" if errors >= settings.enrichment_errors else ""


def _enrichment_queue(history: History, settings: AlertSettings) -> str:
    count = history.growth(lambda now: now.enrichment_queue)
    if count < settings.enrichment_queue:
        return ""
    return f"{count:.0f} lookups were not made, as too many waited for a slow source"


def _log_errors(history: History, settings: AlertSettings) -> str:
    errors = history.growth(lambda now: now.log_errors)
    return f"by {errors:.0f} lines; see its log" if errors >= settings.log_errors else ""


CONDITIONS = (
    Condition(
        "QPS threshold reached",
        "More searches a second than the storage is meant for",
        "searches_per_second",
        _searches,
    ),
    Condition(
        "Failed Insert QPS threshold reached",
        "Batches are refused by the storage, or cannot be stored",
        "failed_inserts_per_second",
        _failed_inserts,
    ),
    Condition(
        "High distribution queue",
        "Blocks wait to be sent to other nodes of a ClickHouse cluster, or batches for the store",
        "distribution_queue",
        _distribution_queue,
    ),
    Condition(
        "Low disk space",
        "The file system with the service's folder, or with the store, is almost full",
        "disk_free_percent",
        _disk,
    ),
    Condition(
        "Low disk partition space",
        "Another file system that the service or its host needs is almost full",
        "partition_free_percent",
        _partition,
    ),
    Condition(
        "Output Event Loss increasing",
        "Destinations refuse events, or are so far behind that events are given up",
        "lost_events",
        _output_loss,
    ),
    Condition(
        "Disk buffer size increasing",
        "More and more waits on disk for the storage or a destination",
        "buffer_growth_bytes",
        _buffer,
    ),
    Condition(
        "Enrichment errors increasing",
        "Values cannot be looked up, or do not fit the field",
        "enrichment_errors",
        _enrichment_errors,
    ),
    Condition(
        "High enrichment queue",
        "A source of enrichment is so slow that lookups are left out",
        "enrichment_queue",
        _enrichment_queue,
    ),
    Condition(
        "Connector log errors increasing",
        "The service logs errors",
        "log_errors",
        _log_errors,
    ),
)
"""In the order in which reasons are shown."""
