"""What became of the events for one destination, counted since the collector's start."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_OUTCOMES = (
    ("delivered", "events"),
    ("filtered", "filtered"),
    ("refused", "refused"),
    ("lost_size", "lost_size"),
    ("lost_age", "lost_age"),
)


class DestinationReport(msgspec.Struct, frozen=True):
    """A destination's state; times in seconds since the epoch, 0 for never.

    `waiting` are answers in the journal. `lost_size` and `lost_age` count events, as they came,
    that were given up because the destination was behind by more than its settings allow.
    """

    name: str
    kind: str
    reason: str = ""
    waiting: int = 0
    batches: int = 0
    events: int = 0
    bytes: int = 0
    filtered: int = 0
    refused: int = 0
    failures: int = 0
    lost_size: int = 0
    lost_age: int = 0
    last_error: str = ""
    last_error_time: float = 0.0
    last_delivered_time: float = 0.0

    @property
    def colour(self) -> str:
        """Green, or yellow when something hinders it."""
        return "yellow" if self.reason else "green"


class Tally:
    """Counts for one destination."""

    def __init__(self, name: str, kind: str) -> None:
        self._report = DestinationReport(name, kind)

    def delivered(self, events: int, size: int) -> None:
        """Note a batch that is delivered."""
        now = self._report
        self._change(
            batches=now.batches + 1,
            events=now.events + events,
            bytes=now.bytes + size,
            reason="",
            last_delivered_time=time.time(),
        )

    def filtered(self, events: int) -> None:
        """Note events that its filter held back."""
        self._change(filtered=self._report.filtered + events)

    def refused(self, events: int, reason: str) -> None:
        """Note events that it refused for good."""
        self._error(reason)
        self._change(refused=self._report.refused + events, reason="")

    def failed(self, reason: str, *, hinders: bool) -> None:
        """Note a failed try; `hinders` when it is worth to be shown as the present state."""
        self._error(reason)
        changes = {"reason": f"events cannot be delivered: {reason}"} if hinders else {}
        self._change(failures=self._report.failures + 1, **changes)

    def lost(self, events: int, cause: str, reason: str) -> None:
        """Note events that were given up."""
        self._error(reason)
        if cause == "size":
            self._change(lost_size=self._report.lost_size + events)
        else:
            self._change(lost_age=self._report.lost_age + events)

    def report(self, waiting: int) -> DestinationReport:
        """Return the state as a value."""
        return msgspec.structs.replace(self._report, waiting=waiting)

    def _error(self, reason: str) -> None:
        self._change(last_error=reason, last_error_time=time.time())

    def _change(self, **changes: object) -> None:
        self._report = msgspec.structs.replace(self._report, **changes)


def add_metrics(registry: CollectorRegistry, reports: tuple[DestinationReport, ...]) -> None:
    """Add the destinations' counts to a registry."""
    labels = ["destination", "kind"]
    prefix = "deodar_collector_destination"
    events = Counter(
        f"{prefix}_events", "Events by what became of them", [*labels, "outcome"], registry=registry
    )
    counters = {
        name: Counter(f"{prefix}_{name}", text, labels, registry=registry)
        for name, text in (
            ("batches", "Batches delivered"),
            ("bytes", "Bytes delivered"),
            ("failures", "Tries that failed"),
        )
    }
    waiting = Gauge(f"{prefix}_waiting", "Answers that wait", labels, registry=registry)
    for report in reports:
        where = (report.name, report.kind)
        for outcome, field in _OUTCOMES:
            events.labels(*where, outcome).inc(getattr(report, field))
        for name, counter in counters.items():
            counter.labels(*where).inc(getattr(report, name))
        waiting.labels(*where).set(report.waiting)
