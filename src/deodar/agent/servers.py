"""Which of the EDR servers is tried, how long one that failed is left alone, and who is told.

The servers of the setting `Endpoints` are tried in their order. One that fails is left alone for a
time that grows, and the next one is tried at once. The administrator is told of changes, not of
attempts. No I/O; times are seconds of a monotonic clock.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from deodar.agent.answers import Fault, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKOFF_FIRST = 0.5
BACKOFF_LIMIT = 60.0
REFUSED_WAIT = 60.0
LONGEST_RETRY_AFTER = 300.0
CONNECTED = "ServerConnected"
DOUBTS = 10
"""After so many broken connections in a row a refusal, or a certificate's problem, is taken for
ended: what a server says can get lost when it closes the connection at once."""
_SAID = frozenset({Trouble.REFUSED.event, Trouble.CERTIFICATE.event})


class State(Enum):
    """How the uplink fares, for people."""

    STARTING = "starting"
    CONNECTED = "connected"
    RETRYING = "retrying"
    REFUSED = "refused"


class Activity(Enum):
    """What is done with a server."""

    PACKETS = "packets"
    SYNCHRONIZATION = "synchronization"


class News(NamedTuple):
    """A change that the administrator is told of."""

    event_type: str
    details: dict[str, str]


class _Server:
    """What is known of one server."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self.rests_until = 0.0
        self.faults: dict[Activity, Fault] = {}
        self.told = ""
        """The event that was told of it last, if that was of a fault."""
        self.doubts = 0

    def worst(self) -> Fault | None:
        return max(self.faults.values(), key=lambda fault: fault.trouble.value, default=None)

    def mend(self, activity: Activity) -> None:
        """Forget what is mended: a server that took packets may still fail to synchronize."""
        self.failures = 0
        self.faults = {
            other: fault
            for other, fault in self.faults.items()
            if other is not activity and fault.trouble is Trouble.WRONG_ANSWER
        }


class Servers:
    """The servers in their order, and how it stands with them."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - spreads agents in time, no secret
        self._servers = [_Server("")]
        self._connected: _Server | None = None
        self._news: list[News] = []
        self.index = 0
        """Which one is in use."""
        self.state = State.STARTING
        self.problem = ""

    @property
    def name(self) -> str:
        """The server in use."""
        return self._servers[self.index].name

    def faults(self) -> dict[str, str]:
        """Return what is wrong with each server that has failed last time."""
        worst = ((server.name, server.worst()) for server in self._servers)
        return {name: fault.text for name, fault in worst if fault is not None}

    def take_news(self) -> list[News]:
        """Return the changes since the last call."""
        news, self._news = self._news, []
        return news

    def configure(self, names: Sequence[str], now: float) -> None:
        """Use these servers from now on, beginning with the first."""
        known = {server.name: server for server in self._servers}
        self._servers = [known.get(name) or _Server(name) for name in names or [""]]
        for server in self._servers:
            server.failures, server.rests_until = 0, now
        if self._connected not in self._servers:
            self._connected = None
        self.index = 0

    def hold(self, problem: str) -> None:
        """Note that no server can be tried at all: there is no certificate to know it by."""
        if self.problem != problem:
            self._news.append(News(Trouble.CERTIFICATE.event, {"problem": problem}))
        self._connected = None
        self.state, self.problem = State.RETRYING, problem

    def pause(self, now: float) -> float:
        """Return for how long (s) no server may be tried; 0 if one may: it is the one in use."""
        if self._servers[self.index].rests_until > now:
            rests = [max(server.rests_until, now) for server in self._servers]
            self.index = rests.index(min(rests))
        return max(0.0, self._servers[self.index].rests_until - now)

    def begin_again(self, now: float) -> None:
        """Go back to the first server that may be tried."""
        ready = (i for i, server in enumerate(self._servers) if server.rests_until <= now)
        self.index = next(ready, self.index)

    def wake(self, now: float) -> None:
        """Let all servers be tried again."""
        for server in self._servers:
            server.rests_until = min(server.rests_until, now)

    def rest(self, seconds: float, now: float) -> None:
        """Leave the server in use alone for a while, though nothing is wrong with it."""
        self._servers[self.index].rests_until = now + seconds

    def succeeded(self, activity: Activity) -> bool:
        """Note that the server in use did what it was asked for; returns whether it had failed."""
        server = self._servers[self.index]
        failed = activity in server.faults
        server.mend(activity)
        self._show(server)
        if not server.faults:
            server.told = ""
            if self._connected is not server:
                self._connected = server
                self._news.append(News(CONNECTED, {"server": server.name}))
        return failed

    def failed(
        self, activity: Activity, fault: Fault, now: float, retry_after: float | None = None
    ) -> bool:
        """Leave the server in use alone; returns whether another one may be tried at once."""
        server = self._servers[self.index]
        server.rests_until = now + self._rest(server, fault, retry_after)
        server.failures += 1
        server.faults[activity] = fault
        self._tell(server)
        count = len(self._servers)
        for index in ((self.index + step) % count for step in range(1, count)):
            if self._servers[index].rests_until <= now:
                self.index = index
                return True
        self._show(server)
        return False

    def backoff(self, failures: int) -> float:
        """Return for how long (s) to wait after so many failures before this one."""
        longest: float = min(BACKOFF_FIRST * 2 ** min(failures, 16), BACKOFF_LIMIT)
        return longest * self._rng.uniform(0.5, 1.0)

    def _tell(self, server: _Server) -> None:
        if self._connected is server:
            self._connected = None
        fault = server.worst()
        if fault is None or fault.trouble.event == server.told:
            server.doubts = 0
            return
        server.doubts += 1
        heard = fault.trouble.event in _SAID
        if heard or server.told not in _SAID or server.doubts >= DOUBTS:
            server.told, server.doubts = fault.trouble.event, 0
            self._news.append(News(server.told, {"server": server.name, "problem": fault.text}))

    def _show(self, server: _Server) -> None:
        """Show how it stands after `server` was tried and no other one is to be tried at once."""
        fault = server.worst()
        if fault is None:
            self.state, self.problem = State.CONNECTED, ""
            return
        self.state = State.REFUSED if fault.trouble is Trouble.REFUSED else State.RETRYING
        several = "; ".join(f"{name}: {text}" for name, text in self.faults().items())
        self.problem = several if len(self._servers) > 1 else fault.text

    def _rest(self, server: _Server, fault: Fault, retry_after: float | None) -> float:
        if fault.trouble is Trouble.REFUSED:
            return self._spread(max(REFUSED_WAIT, min(retry_after or 0, LONGEST_RETRY_AFTER)))
        if retry_after is not None:
            return self._spread(min(max(retry_after, 0.1), LONGEST_RETRY_AFTER))
        return self.backoff(server.failures)

    def _spread(self, seconds: float) -> float:
        return seconds * self._rng.uniform(1.0, 1.2)
