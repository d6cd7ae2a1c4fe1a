"""What a collector tells of itself: status, counts and last error, as a file and as metrics.

The file ``status.json`` is what `deodar siem collector status` shows when the collector does not
run; a running one is asked over its control socket.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from deodar.siem import control
from deodar.siem.collector import tally
from deodar.siem.collector.tally import DestinationReport
from deodar.siem.connectors.status import Status
from deodar.siem.destinations.base import STORAGE
from deodar.siem.pipeline.counts import NOTHING, PipelineReport, StageCounts

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory

FILE = "status.json"
COLOURS = ("green", "yellow", "red")


class Counts(msgspec.Struct):
    """Events since the collector's start; `answers` and `bytes` are of the EDR server, `batches`
    those that are stored, `stages` what became of them in the pipeline.
    """  # noqa: D205

    answers: int = 0
    bytes: int = 0
    received: int = 0
    normalized: int = 0
    stored: int = 0
    dead: int = 0
    aside: int = 0
    batches: int = 0
    stages: StageCounts = NOTHING


class Report(msgspec.Struct, frozen=True):
    """A collector's state; times in seconds since the epoch, 0 for never.

    `connector_counts` are those that its kind of connector has besides, such as lost datagrams.
    """

    name: str
    status: Status
    connector: Status
    counts: Counts
    waiting: int
    journal_bytes: int
    last_error: str
    last_error_time: float
    last_stored_time: float
    started: float
    pid: int
    destinations: tuple[DestinationReport, ...] = ()
    pipeline: PipelineReport = PipelineReport()
    connector_counts: dict[str, int] = {}


class Board:
    """The running state; methods may be called from the event loop only."""

    def __init__(self, name: str, pid: int) -> None:
        self._name = name
        self._pid = pid
        self._started = time.time()
        self.counts = Counts()
        self.connector_counts: dict[str, int] = {}
        self.connector = Status("yellow", "starting")
        self.core_hindrance = ""
        self.journal_hindrance = ""
        self.stages_hindrance = ""
        self.waiting = 0
        self.journal_bytes = 0
        self.destinations: tuple[DestinationReport, ...] = ()
        self.pipeline = PipelineReport()
        self._last_error = ""
        self._last_error_time = 0.0
        self._last_stored = 0.0

    def error(self, text: str) -> None:
        """Note an error's text and time."""
        self._last_error = text
        self._last_error_time = time.time()

    def hinder_stages(self, text: str) -> None:
        """Note why the stages between normalizing and destinations wait, "" when they do not."""
        self.stages_hindrance = text
        if text:
            self.error(text)

    def storage(self, waiting: int) -> DestinationReport:
        """Return the state of the storage as that of a destination."""
        return DestinationReport(
            STORAGE,
            STORAGE,
            reason=self.core_hindrance,
            waiting=waiting,
            batches=self.counts.batches,
            events=self.counts.stored,
            last_delivered_time=self._last_stored,
        )

    def stored(self, rows: int) -> None:
        """Note that rows are in the store."""
        self.counts.stored += rows
        self.counts.batches += 1
        self._last_stored = time.time()

    @property
    def status(self) -> Status:
        """The connector's status, or yellow with what hinders journal or delivery."""
        own = self.journal_hindrance or self.stages_hindrance or self.core_hindrance
        hindrance = own or self._hindered_destination()
        if hindrance and self.connector.colour == "green":
            return Status("yellow", hindrance)
        return self.connector

    def _hindered_destination(self) -> str:
        """Return the first destination that is hindered, with the reason, or ""."""
        hindered = (one for one in self.destinations if one.reason)
        return next((f"destination {one.name}: {one.reason}" for one in hindered), "")

    def report(self) -> Report:
        """Return the state as a value."""
        return Report(
            name=self._name,
            status=self.status,
            connector=self.connector,
            counts=msgspec.structs.replace(self.counts),
            waiting=self.waiting,
            journal_bytes=self.journal_bytes,
            last_error=self._last_error,
            last_error_time=self._last_error_time,
            last_stored_time=self._last_stored,
            started=self._started,
            pid=self._pid,
            destinations=self.destinations,
            pipeline=self.pipeline,
            connector_counts=dict(self.connector_counts),
        )


def save(folder: StateDirectory, report: Report) -> None:
    """Write the status file; raises StateError when the disk refuses."""
    folder.write(FILE, msgspec.json.format(msgspec.json.encode(report)))


def saved(folder: StateDirectory) -> Report | None:
    """Return the last written status as of a collector that is not running, or None."""
    if not folder.has(FILE):
        return None
    try:
        report = msgspec.json.decode(folder.read(FILE), type=Report)
    except msgspec.MsgspecError:
        return None
    return msgspec.structs.replace(report, status=Status("red", "the collector is not running"))


def ask(folder: StateDirectory) -> Report:
    """Return a collector's state: its own word if it runs, else what it wrote last, as red.

    Raises ControlError when it runs and does not answer.
    """
    try:
        answer = control.call(folder.socket, "GET", "/status", seconds=5.0)
    except control.NotRunning:
        stopped = saved(folder) or Board(folder.path.name, 0).report()
        return msgspec.structs.replace(stopped, status=Status("red", "the collector does not run"))
    return msgspec.json.decode(answer.content, type=Report)


def metrics(report: Report) -> CollectorRegistry:
    """Return the report as Prometheus metrics."""
    registry = CollectorRegistry()
    events = Counter(
        "deodar_collector_events", "Events by what became of them", ["stage"], registry=registry
    )
    for stage in ("received", "normalized", "stored", "dead"):
        events.labels(stage).inc(getattr(report.counts, stage))
    for stage, count in msgspec.structs.asdict(report.counts.stages).items():
        events.labels(stage).inc(count)
    _count(registry, "answers", "Answers of the EDR server", report.counts.answers)
    _count(registry, "answer_bytes", "Bytes of those answers", report.counts.bytes)
    _count(registry, "bodies_aside", "Answers that could not be used", report.counts.aside)
    _gauge(registry, "journal_records", "Answers that wait for the core", report.waiting)
    _gauge(registry, "journal_bytes", "Bytes of the journal", report.journal_bytes)
    colour = Gauge(
        "deodar_collector_status", "1 for the present colour", ["colour"], registry=registry
    )
    for name in COLOURS:
        colour.labels(name).set(name == report.status.colour)
    _add_pipeline(registry, report.pipeline)
    own = Counter(
        "deodar_collector_connector", "Counts of the connector's own", ["what"], registry=registry
    )
    for what, number in report.connector_counts.items():
        own.labels(what).inc(number)
    tally.add_metrics(registry, report.destinations)
    return registry


def _add_pipeline(registry: CollectorRegistry, report: PipelineReport) -> None:
    _gauge(registry, "aggregation_windows", "Windows of aggregation that are open", report.windows)
    labels = ["rule", "outcome"]
    text = "What enrichment rules did, by outcome"
    enrichment = Counter("deodar_collector_enrichment", text, labels, registry=registry)
    for rule in report.rules:
        for outcome, count in rule.counts.items():
            enrichment.labels(rule.name, outcome).inc(count)


def _count(registry: CollectorRegistry, name: str, text: str, value: int) -> None:
    Counter(f"deodar_collector_{name}", text, registry=registry).inc(value)


def _gauge(registry: CollectorRegistry, name: str, text: str, value: int) -> None:
    Gauge(f"deodar_collector_{name}", text, registry=registry).set(value)
