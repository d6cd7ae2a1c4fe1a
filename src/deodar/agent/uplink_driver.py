"""The thread that carries packets to the servers over HTTPS and does what the state machine says.

There is no work per event here: packets leave as they lie in the spool, several in one request.
While there is nothing to do, the thread sleeps on the spool until the next synchronization.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from deodar.agent import synchronization
from deodar.agent.answers import Answer, Fault, NoAnswer, fault_of
from deodar.agent.connection import NO_CERTIFICATE, ConnectionSettings, Ways
from deodar.agent.shipping import Shipped, Shipping
from deodar.agent.threads import WatchedThread
from deodar.agent.transport import LARGEST_ANSWER
from deodar.agent.uplink import Activity, Retry, Uplink
from deodar.kit.errors import DeodarError
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deodar.agent.loss import LossBook
    from deodar.agent.renewal import Renewal
    from deodar.agent.settings import TransferSettings
    from deodar.agent.spool import Spool

__all__ = ["ConnectionSettings", "UplinkCounters", "UplinkDriver"]

PACKETS = "/agent/v1/packets"
ABORTED = 1.0
"""Seconds that a thread has to end after its request was broken off."""

_log = logger("agent.uplink")


class UplinkCounters(Shipped):
    """Totals since the start, for the status. Written by the uplink's thread only."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        """Requests without a good answer."""
        self.synchronizations = 0
        self.last_contact: float | None = None
        """Wall clock, seconds since the epoch."""


class UplinkDriver:
    """Synchronizes and sends packets until it is stopped."""

    def __init__(
        self,
        spool: Spool,
        losses: LossBook,
        *,
        transfer: TransferSettings,
        identity: str,
        dead_folder: Path,
        report: Callable[[], dict[str, Any]],
        on_policy: Callable[[dict[str, Any] | None], None],
        notify: Callable[[str, dict[str, Any]], None],
        renewal: Renewal | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        """`identity` is the agent's id; `clock` and `wait` are for tests of long times."""
        self.machine = Uplink()
        self.counters = UplinkCounters()
        self.last_sync: float | None = None
        """Wall clock of the last synchronization, seconds since the epoch."""
        self.clock_offset: float | None = None
        """Seconds by which the server's clock was ahead of this host's then."""
        self._spool = spool
        self._identity = identity
        self._report = report
        self._on_policy = on_policy
        self._notify = notify
        self._renewal = renewal
        self._clock = clock
        self._wait_for = wait
        self._shipping = Shipping(spool, losses, transfer, dead_folder, self.counters)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._attention = threading.Event()
        self._asked_sync = False
        self._hurry = False
        self._asked: ConnectionSettings | None = None
        self._settings: ConnectionSettings | None = None
        self._ways = Ways()
        self._thread = WatchedThread("uplink", self._run)

    @property
    def failure(self) -> str:
        """Why the uplink has come to a halt; "" while it works."""
        return self._thread.failure

    @property
    def server(self) -> str:
        """The server in use, host:port; "" when none was configured yet."""
        return self.machine.server

    def configure(self, settings: ConnectionSettings) -> None:
        """Use these settings from now on; the servers are tried anew, with a synchronization."""
        with self._lock:
            self._asked = settings
        self._call()

    def sync_now(self) -> None:
        """Synchronize as soon as a request that is under way has ended."""
        with self._lock:
            self._asked_sync = True
        self._call()

    def hurry(self) -> None:
        """Let no event wait for others any more: the agent is about to end."""
        self._hurry = True
        self._call()

    def start(self) -> None:
        """Begin to synchronize and to send."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Stop sending; after `timeout` seconds a request that is under way is broken off."""
        self._stop.set()
        self._call()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._ways.abort()
            self._thread.join(ABORTED)

    def _call(self) -> None:
        self._attention.set()
        self._spool.wake()

    # The thread

    def _run(self) -> None:
        while not self._stop.is_set():
            self._attention.clear()
            self._renew()
            self._step(self._settings)
            self._tell()
        self._ways.close()

    def _step(self, settings: ConnectionSettings | None) -> None:
        """Do the next thing: wait, synchronize, or send one request."""
        now = self._clock()
        pause = self.machine.pause(now)
        if settings is None or settings.context is None or not settings.servers:
            self._idle(self.machine.sync_in(now) or 300.0)
        elif pause > 0:
            self._idle(pause)
        elif self.machine.sync_begins(now):
            self._synchronize()
        elif settings.send:
            self._send(settings, self.machine.sync_in(now))
        else:
            self._idle(self.machine.sync_in(now))

    def _idle(self, seconds: float) -> None:
        if not self._stop.is_set():
            self._tell()
            self._wait_for(self._attention, seconds)

    def _renew(self) -> None:
        """Take over what was asked for by other threads."""
        with self._lock:
            settings, self._asked = self._asked, None
            sync, self._asked_sync = self._asked_sync, False
        if settings is not None:
            self._ways.configure(settings)
            self._settings = settings
            period = settings.synchronization_period
            self.machine.configure(settings.names, period, self._clock())
            if settings.context is None:
                self.machine.hold(settings.context_problem or NO_CERTIFICATE)
        elif sync:
            self.machine.sync_now(self._clock())

    def _synchronize(self) -> None:
        report = self._report()
        version = synchronization.policy_version(report)
        sent = time.time_ns() // 1000
        body = synchronization.report_body(self._identity, report, sent, version)
        headers = {"Content-Type": "application/json"}
        largest = synchronization.LARGEST_ANSWER
        try:
            answer = self._ask(synchronization.PATH, body, headers, largest)
        except NoAnswer as error:
            self._failed(Activity.SYNCHRONIZATION, error.fault)
            return
        read: synchronization.SyncAnswer | Fault = fault_of(answer)
        if answer.status == 200:
            read = synchronization.read_answer(answer, version)
        if isinstance(read, Fault):
            self._failed(Activity.SYNCHRONIZATION, read, answer.retry_after)
            return
        self.machine.synchronized(self._clock())
        self.counters.synchronizations += 1
        self.last_sync = time.time()
        self.clock_offset = synchronization.clock_offset(read, sent, time.time_ns() // 1000)
        if read.policy_version != version:
            self._follow(read)
        self._renew_certificate(self.last_sync + self.clock_offset)

    def _renew_certificate(self, server_time: float) -> None:
        """Renew the agent's certificate if that is due and it is shown at all."""
        renewal, settings = self._renewal, self._settings
        if renewal is None or settings is None or not settings.shows_certificate:
            return
        if renewal.is_due(server_time):
            problem = renewal.renew(self._ask)
            if problem:
                self._notify("CertificateProblem", {"Problem": f"not renewed: {problem}"})

    def _follow(self, answer: synchronization.SyncAnswer) -> None:
        try:
            self._on_policy(answer.policy if answer.policy_version else None)
        except DeodarError as error:
            _log.error("the policy was refused", version=answer.policy_version, error=str(error))

    def _send(self, settings: ConnectionSettings, timeout: float) -> None:
        """Send the packets that are due, waiting for them up to `timeout` seconds."""
        delay = 0.0 if self._hurry else settings.maximum_delay
        batch = self._shipping.next(delay, timeout)
        if batch is None or self._stop.is_set():
            return
        headers = self._shipping.headers(batch)
        try:
            answer = self._ask(PACKETS, batch.body, headers)
        except NoAnswer as error:
            if error.timed_out:
                self._shipping.too_slow(batch)
            self._failed(Activity.PACKETS, error.fault)
            return
        alone, now = self._shipping.one_by_one, self._clock()
        verdict = self.machine.answered(batch.first, batch.last, answer, now, alone=alone)
        self.counters.failures += isinstance(verdict, Retry)
        self._shipping.settle(batch, verdict)

    def _ask(
        self,
        path: str,
        body: bytes,
        headers: dict[str, str],
        largest: int = LARGEST_ANSWER,
    ) -> Answer:
        """Return the answer of the server in use; raises NoAnswer."""
        answer = self._ways.to(self.machine.index).ask("POST", path, body, headers, largest=largest)
        self.counters.last_contact = time.time()
        return answer

    def _failed(self, activity: Activity, fault: Fault, retry_after: float | None = None) -> None:
        if self._stop.is_set():
            return  # it was broken off by `stop`
        self.counters.failures += 1
        self.machine.failed(activity, fault, self._clock(), retry_after)

    def _tell(self) -> None:
        for news in self.machine.take_news():
            _log.info("the uplink has changed", change=news.event_type, **news.details)
            self._notify(news.event_type, dict(news.details))
