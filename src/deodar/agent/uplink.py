"""What to do after each answer of the servers: the uplink as a state machine without I/O.

The driver tells it what happened (`answered`, `synchronized`, `failed`) and asks it what may be
done now (`pause`, `sync_begins`). Packets go one after another, in order; one that no server will
ever take goes aside, so that it cannot hold up those behind it. A server recognises packets that it
has already, so that a lost answer is cured by sending again. Every synchronization begins with the
first server of the settings, so that the agent returns to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.answers import (
    PARTIAL,
    REJECTED,
    TOO_LARGE,
    Answer,
    Fault,
    Trouble,
    fault_of,
    read_committed,
    read_receipt,
    said,
)
from deodar.agent.servers import Activity, News, Servers, State

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

__all__ = [
    "Activity",
    "Delivered",
    "Partial",
    "Retry",
    "SetAside",
    "Split",
    "State",
    "Uplink",
    "Verdict",
]

REJECTIONS = 3
"""How often the servers may call one packet wrong before it goes aside."""


class Delivered(NamedTuple):
    """The server has all packets of the request: acknowledge them and go on."""

    dead: int
    """Events that the server could not use; it keeps them for its administrator."""
    duplicate: bool


class Partial(NamedTuple):
    """The server has the packets up to `committed` already: acknowledge those, send the rest."""

    committed: int


class Retry(NamedTuple):
    """Send it again when `pause` allows it."""


class Split(NamedTuple):
    """Send the packets of the request one by one: only one of them may be wrong."""

    reason: str


class SetAside(NamedTuple):
    """Put the packet into the folder of dead packets, acknowledge it and go on."""

    reason: str


Verdict = Delivered | Partial | Retry | Split | SetAside


class Uplink:
    """The state of one agent's way to its servers. Times are seconds of a monotonic clock."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._servers = Servers(rng)
        self._period = 300.0
        self._sync_at = 0.0
        self._sync_failures = 0
        self._sync_began = False
        self._rejections = 0

    @property
    def state(self) -> State:
        """How it stands."""
        return self._servers.state

    @property
    def problem(self) -> str:
        """What is wrong and what to do, for people; "" while all is well."""
        return self._servers.problem

    @property
    def index(self) -> int:
        """Which of the servers is in use."""
        return self._servers.index

    @property
    def server(self) -> str:
        """The server in use, as it was named to `configure`."""
        return self._servers.name

    def faults(self) -> dict[str, str]:
        """Return what is wrong with each server that has failed last time."""
        return self._servers.faults()

    def take_news(self) -> list[News]:
        """Return what the administrator is to be told, since the last call."""
        return self._servers.take_news()

    def configure(self, names: Sequence[str], period: float, now: float) -> None:
        """Use these servers from now on, and synchronize every `period` seconds, at once first."""
        self._servers.configure(names, now)
        self._period = period
        self.sync_now(now)

    def hold(self, problem: str) -> None:
        """Note that no server can be tried at all: there is no certificate to know it by."""
        self._servers.hold(problem)

    # What may be done now

    def pause(self, now: float) -> float:
        """Return for how long (s) nothing may be sent to any server; 0 for not at all."""
        return self._servers.pause(now)

    def sync_in(self, now: float) -> float:
        """Return in how many seconds the next synchronization is due."""
        return max(0.0, self._sync_at - now)

    def sync_begins(self, now: float) -> bool:
        """Return whether to synchronize now; if so, with the first server that may be tried."""
        if self._sync_at > now:
            return False
        if not self._sync_began:
            self._sync_began = True
            self._servers.begin_again(now)
        return True

    def sync_now(self, now: float) -> None:
        """Make a synchronization due, and let all servers be tried for it."""
        self._sync_at, self._sync_failures, self._sync_began = now, 0, False
        self._servers.wake(now)

    # What happened

    def synchronized(self, now: float) -> None:
        """Note that a synchronization has succeeded."""
        self._sync_at, self._sync_failures, self._sync_began = now + self._period, 0, False
        self._servers.succeeded(Activity.SYNCHRONIZATION)

    def failed(
        self, activity: Activity, fault: Fault, now: float, retry_after: float | None = None
    ) -> None:
        """Note that the server in use failed: it is left alone for a while, the next one tried."""
        others = self._servers.failed(activity, fault, now, retry_after)
        if activity is Activity.SYNCHRONIZATION and not others:
            wait = min(self._servers.backoff(self._sync_failures), self._period)
            self._sync_at, self._sync_began = now + wait, False
            self._sync_failures += 1

    def answered(
        self, first: int, last: int, answer: Answer, now: float, *, alone: bool = False
    ) -> Verdict:
        """Return what to do after the server answered to a request with packets first to last.

        `alone` says that the request cannot be split, though its numbers may have a gap.
        """
        if answer.status == 200:
            return self._received(last, answer, now)
        if answer.status in PARTIAL:
            return self._partial(first, last, answer, now)
        if answer.status in REJECTED:
            return self._rejected(answer, now, alone=alone or first == last)
        return self._retry(fault_of(answer), now, answer.retry_after)

    def _received(self, last: int, answer: Answer, now: float) -> Verdict:
        receipt = read_receipt(answer, last)
        if isinstance(receipt, Fault):
            return self._retry(receipt, now)
        self._rejections = 0
        self._took_packets(now)
        return Delivered(receipt.dead, receipt.duplicate)

    def _partial(self, first: int, last: int, answer: Answer, now: float) -> Verdict:
        committed = read_committed(answer)
        if committed is None or not first <= committed < last:
            text = f"the server has other packets than this agent sends (HTTP 409{said(answer)})"
            return self._retry(Fault(Trouble.WRONG_ANSWER, text), now)
        self._took_packets(now)
        return Partial(committed)

    def _took_packets(self, now: float) -> None:
        if self._servers.succeeded(Activity.PACKETS):
            # The server is back: what else has failed with it may be well again, too.
            self._sync_at = min(self._sync_at, now)

    def _rejected(self, answer: Answer, now: float, *, alone: bool) -> Verdict:
        """The packet is at fault and not the server, so that the server is not left."""
        self._rejections += 1
        reason = f"the server rejected the packet with HTTP {answer.status}{said(answer)}"
        if answer.status not in TOO_LARGE and self._rejections < REJECTIONS:
            self._servers.rest(self._servers.backoff(self._rejections), now)
            return Retry()
        self._rejections = 0
        return SetAside(reason) if alone else Split(reason)

    def _retry(self, fault: Fault, now: float, retry_after: float | None = None) -> Retry:
        self.failed(Activity.PACKETS, fault, now, retry_after)
        return Retry()
