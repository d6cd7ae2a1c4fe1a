"""How packets leave the spool: how many go in one request, and what becomes of them afterwards.

One request holds as many packets as are due. When a request does not get through in time, smaller
ones follow; when the server rejects one, its packets go one by one, so that only what is really
wrong is put aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deodar.agent.dead_packets import DeadPackets
from deodar.agent.uplink import Delivered, Partial, SetAside, Split, Verdict
from deodar.kit.logging import logger

if TYPE_CHECKING:
    from pathlib import Path

    from deodar.agent.loss import LossBook
    from deodar.agent.settings import TransferSettings
    from deodar.agent.spool import Spool, StoredBatch

SMALLEST = 32 * 1024
"""Bytes of a request; on a slow line it gets no smaller."""
COMPRESSION = 8
"""How much smaller than their text events mostly are at least. Where they are not, the server
refuses the request for its size, and the packets go one by one."""

_log = logger("agent.uplink")


class Shipped:
    """Totals since the start, for the status. Written by the uplink's thread only."""

    def __init__(self) -> None:
        self.packets = 0
        """Requests that were delivered."""
        self.events = 0
        self.dead_events = 0
        """Events that the server took but could not use."""
        self.duplicates = 0
        self.set_aside = 0
        self.requests = 0
        """Requests with packets, failed ones too."""


class Shipping:
    """The spool as the uplink sees it. For the uplink's thread."""

    def __init__(
        self,
        spool: Spool,
        losses: LossBook,
        transfer: TransferSettings,
        dead_folder: Path,
        counters: Shipped,
    ) -> None:
        self._spool = spool
        self._transfer = transfer
        self._dead = DeadPackets(dead_folder, losses)
        self._counters = counters
        self._after = 0
        self._one_by_one_to = 0
        self._largest = self._room = max(SMALLEST, transfer.maximum_bytes // COMPRESSION)

    @property
    def one_by_one(self) -> bool:
        """Whether each request holds one packet only."""
        return self._after < self._one_by_one_to

    def next(self, delay: float, timeout: float) -> StoredBatch | None:
        """Return what to send now: full, urgent, or waiting for `delay` s; None after `timeout`."""
        batch = self._spool.take(
            self._after,
            delay=delay,
            enough=self._transfer.enough_events,
            max_events=self._transfer.maximum_events,
            max_bytes=1 if self.one_by_one else self._room,
            timeout=timeout,
        )
        self._counters.requests += batch is not None
        return batch

    def headers(self, batch: StoredBatch) -> dict[str, str]:
        """Return the headers that tell the server what is in a request."""
        return {
            "Deodar-Spool": self._spool.identity,
            "Deodar-Packet-First": str(batch.first),
            "Deodar-Packet": str(batch.last),
            "Content-Encoding": "zstd",
            "Content-Type": "application/x-ndjson",
        }

    def too_slow(self, batch: StoredBatch) -> None:
        """Make requests smaller: this one did not get through within the time limit."""
        if len(batch.body) > SMALLEST:
            self._room = max(SMALLEST, len(batch.body) // 2)
            self._spool.forget()

    def settle(self, batch: StoredBatch, verdict: Verdict) -> None:
        """Do what the state machine said after the answer to `batch`."""
        if isinstance(verdict, Delivered):
            self._counters.packets += 1
            self._counters.events += batch.events
            self._counters.dead_events += verdict.dead
            self._counters.duplicates += verdict.duplicate
            self._room = min(self._room * 2, self._largest)
            self._done(batch)
        elif isinstance(verdict, Partial):
            self._spool.acknowledge_to(verdict.committed)
            self._spool.forget()
            self._after = verdict.committed
        elif isinstance(verdict, Split):
            _log.warning("packets go one by one", reason=verdict.reason, events=batch.events)
            self._one_by_one_to = batch.last
            self._spool.forget()
        elif isinstance(verdict, SetAside):
            self._counters.set_aside += 1
            self._dead.keep(batch, verdict.reason)
            self._done(batch)

    def _done(self, batch: StoredBatch) -> None:
        self._spool.acknowledge(batch)
        self._after = batch.last
