"""A collector's report as metrics for Prometheus: every stage from the connector to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from deodar.siem.collector import tally

if TYPE_CHECKING:
    from deodar.siem.collector.board import Report
    from deodar.siem.pipeline.counts import PipelineReport

COLOURS = ("green", "yellow", "red")
STAGES = ("received", "normalized", "stored", "dead", "too_old", "repeated")


def metrics_of(report: Report) -> CollectorRegistry:
    """Return a report as metrics, with those of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    _stages(registry, report)
    _connector(registry, report)
    _pipeline(registry, report.pipeline)
    _waiting(registry, report)
    tally.add_metrics(registry, report.destinations)
    return registry


def _stages(registry: CollectorRegistry, report: Report) -> None:
    events = Counter(
        "deodar_collector_events", "Events by what became of them", ["stage"], registry=registry
    )
    for stage in STAGES:
        events.labels(stage).inc(getattr(report.counts, stage))
    for stage, count in msgspec.structs.asdict(report.counts.stages).items():
        events.labels(stage).inc(count)
    _count(registry, "batches", "Batches stored", report.counts.batches)
    text = "Seconds from fetching to storing, of all batches together"
    _count(registry, "seconds_to_store", text, report.counts.seconds_to_store)


def _connector(registry: CollectorRegistry, report: Report) -> None:
    _count(registry, "answers", "Answers of the EDR server", report.counts.answers)
    _count(registry, "answer_bytes", "Bytes of those answers", report.counts.bytes)
    _count(registry, "bodies_aside", "Answers that could not be used", report.counts.aside)
    own = Counter(
        "deodar_collector_connector", "Counts of the connector's own", ["what"], registry=registry
    )
    for what, number in report.connector_counts.items():
        own.labels(what).inc(number)
    failures = Gauge(
        "deodar_collector_server_failures", "Errors in a row", ["server"], registry=registry
    )
    for server in report.servers:
        failures.labels(server.url).set(server.failures)
    colour = Gauge(
        "deodar_collector_status", "1 for the present colour", ["colour"], registry=registry
    )
    for name in COLOURS:
        colour.labels(name).set(name == report.status.colour)


def _pipeline(registry: CollectorRegistry, report: PipelineReport) -> None:
    _gauge(registry, "aggregation_windows", "Windows of aggregation that are open", report.windows)
    labels = ["rule", "outcome"]
    text = "What enrichment rules did, by outcome"
    enrichment = Counter("deodar_collector_enrichment", text, labels, registry=registry)
    for rule in report.rules:
        for outcome, count in rule.counts.items():
            enrichment.labels(rule.name, outcome).inc(count)


def _waiting(registry: CollectorRegistry, report: Report) -> None:
    _gauge(registry, "journal_records", "Answers that wait for the core", report.waiting)
    _gauge(registry, "journal_bytes", "Bytes of the journal", report.journal_bytes)
    _gauge(registry, "dead_letters", "Dead letters that are kept", report.letters.count)
    _gauge(registry, "dead_letter_bytes", "Bytes of the dead letters", report.letters.bytes)
    _count(registry, "dead_letters_dropped", "Dropped, being full", report.letters.dropped)


def _count(registry: CollectorRegistry, name: str, text: str, value: float) -> None:
    Counter(f"deodar_collector_{name}", text, registry=registry).inc(value)


def _gauge(registry: CollectorRegistry, name: str, text: str, value: float) -> None:
    Gauge(f"deodar_collector_{name}", text, registry=registry).set(value)
