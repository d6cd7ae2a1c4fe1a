"""What a collector tells of itself: status, counts and last error, as a file and as metrics.

The file ``status.json`` is what `deodar siem collector status` shows when the collector does not
run; a running one is asked over its control socket.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from deodar.siem import control
from deodar.siem.collector.ledger import Ledger
from deodar.siem.collector.tally import DestinationReport
from deodar.siem.connectors.status import ServerState, Status
from deodar.siem.destinations.base import STORAGE
from deodar.siem.pipeline.counts import NOTHING, PipelineReport, StageCounts

if TYPE_CHECKING:
    from deodar.kit.directory import StateDirectory
    from deodar.siem.collector.prepare import Prepared

FILE = "status.json"


class Counts(msgspec.Struct):
    """Events since the collector's start; `answers` and `bytes` are of the EDR server, `batches`
    those that are stored, `stages` what became of them in the pipeline. `too_old` is what the
    choice of `start` leaves out, `repeated` came before and is stored all the same.
    `seconds_to_store` are from fetching to storing, the sum of all batches.
    """  # noqa: D205

    answers: int = 0
    bytes: int = 0
    received: int = 0
    normalized: int = 0
    stored: int = 0
    dead: int = 0
    too_old: int = 0
    repeated: int = 0
    aside: int = 0
    batches: int = 0
    seconds_to_store: float = 0.0
    stages: StageCounts = NOTHING


class Letters(msgspec.Struct, frozen=True):
    """The store of dead letters: how many, their bytes, and how many were dropped when full."""

    count: int = 0
    bytes: int = 0
    dropped: int = 0


class Report(msgspec.Struct, frozen=True):
    """A collector's state; times in seconds since the epoch, 0 for never.

    `connector_counts` are those that its kind of connector has besides, such as lost datagrams;
    `servers` those that it asks.
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
    servers: tuple[ServerState, ...] = ()
    letters: Letters = Letters()


class Board:
    """The running state; methods may be called from the event loop only."""

    def __init__(self, name: str, pid: int) -> None:
        self._name = name
        self._pid = pid
        self._started = time.time()
        self.counts = Counts()
        self.ledger = Ledger()
        self.connector_counts: dict[str, int] = {}
        self.servers: tuple[ServerState, ...] = ()
        self.letters = Letters()
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

    def prepared(self, prepared: Prepared) -> None:
        """Count what a record became, for all of them and for its batch."""
        self.counts.received += prepared.received
        self.counts.normalized += prepared.normalized
        self.counts.stages += prepared.stages
        self.counts.too_old += prepared.too_old
        self.counts.repeated += prepared.repeated
        if not prepared.received:
            return
        account = self.ledger.of(prepared.batch_id)
        account.fetched_us = prepared.fetched_us
        account.received, account.normalized = prepared.received, prepared.normalized
        account.failed, account.too_old = len(prepared.letters), prepared.too_old
        account.repeated = prepared.repeated

    def stored(self, rows: int, fetched_us: int) -> None:
        """Note that a batch is in the store that was fetched at that time, µs since the epoch."""
        self.counts.stored += rows
        self.counts.batches += 1
        self._last_stored = time.time()
        self.counts.seconds_to_store += max(0.0, self._last_stored - fetched_us / 1e6)

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
            servers=self.servers,
            letters=self.letters,
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
