"""Metrics of the external systems, for Prometheus: what each got, and how far it is behind.

They are read from the database and the store when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from deodar.edr.errors import ControlDataError
from deodar.edr.external_system import ACCEPTED
from deodar.edr.progress import standings
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from deodar.edr.admission import Admission
    from deodar.edr.external_systems import Register
    from deodar.edr.log.view import View
    from deodar.edr.progress import Standing

log = logger("edr.systems_metrics")


class SystemsMetrics(Collector):
    """What each accepted external system got, and how far it is behind."""

    def __init__(self, log: View, register: Register, admission: Admission) -> None:
        self._log = log
        self._register = register
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        refused = "Requests of external systems that were refused as too many"
        yield CounterMetricFamily(
            "deodar_edr_requests_refused", refused, value=self._admission.refused
        )
        try:
            found = standings(self._register, self._log, ACCEPTED)
        except ControlDataError as error:
            log.warning("external_systems_not_measured", reason=str(error))
            return
        labels = ("id", "address", "name")
        fetched = CounterMetricFamily(
            "deodar_edr_fetched_events", "Events that an external system got", labels=labels
        )
        gauges = [GaugeMetricFamily(name, text, labels=labels) for name, text, _ in _GAUGES]
        for one in found:
            who = (one.id, one.ip, one.name)
            fetched.add_metric(who, one.fetched_events)
            for gauge, (_, _, value) in zip(gauges, _GAUGES, strict=True):
                known = value(one)
                if known is not None:
                    gauge.add_metric(who, known)
        yield fetched
        yield from gauges


_GAUGES: tuple[tuple[str, str, Callable[[Standing], float | None]], ...] = (
    (
        "deodar_edr_last_fetch_timestamp_seconds",
        "When an external system last got an answer",
        lambda one: one.last_fetch_us / 1e6,
    ),
    (
        "deodar_edr_behind_events",
        "Events above the last one that an external system has passed",
        lambda one: one.behind_events,
    ),
    (
        "deodar_edr_behind_seconds",
        "Age of the first event above it",
        lambda one: one.behind_seconds,
    ),
)
