"""What goes wrong in the soak: each fault has a name, a begin and an end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from deodar.demo.stack import Stack
    from soak.host import AgentHost
    from soak.proxy import FaultyWay


class Fault(NamedTuple):
    """One kind of trouble."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]


class Spell(NamedTuple):
    """A fault that happened, by seconds since the soak began."""

    name: str
    begin: float
    end: float


@dataclass
class Trouble:
    """All faults, and when the agent was not there to see anything (monotonic seconds)."""

    host: AgentHost
    way: FaultyWay
    stack: Stack
    blind: list[tuple[float, float]] = field(default_factory=list)
    killed: int = 0

    def early(self) -> list[Fault]:
        """Return the faults that end the agent's process, and those of the server's."""
        return [
            Fault("agent restarts", self._stop_agent, self._start_agent),
            Fault("agent is killed", self._kill_agent, self._start_agent),
            Fault("server restarts", lambda: self._end_server(kill=False), self._start_server),
            Fault("server is killed", lambda: self._end_server(kill=True), self._start_server),
        ]

    def late(self) -> list[Fault]:
        """Return the faults through which the agent has to live in one process."""
        ways = [
            Fault(f"way {mode}", self._way(mode), self._way("open"))
            for mode in ("refuses", "hangs", "slow", "resets")
        ]
        forward, backward = self._clock(86_400 * 40), self._clock(-86_400 * 3)
        return [
            *ways,
            Fault("disk full", self.host.fill_disk, self.host.free_disk),
            Fault("disk full, way refuses", self._full_and_cut, self._mended),
            Fault("clock 40 days ahead", forward, self._clock(0)),
            Fault("clock 3 days back", backward, self._clock(0)),
        ]

    def _way(self, mode: str) -> Callable[[], None]:
        def change() -> None:
            self.way.mode = mode

        return change

    def _clock(self, seconds: int) -> Callable[[], None]:
        return lambda: self.host.step_clock(seconds)

    def _full_and_cut(self) -> None:
        self.host.fill_disk()
        self.way.mode = "refuses"

    def _mended(self) -> None:
        self.host.free_disk()
        self.way.mode = "open"

    def _stop_agent(self) -> None:
        self.blind.append((time.monotonic(), 0.0))
        code = self.host.child.stop(30)
        took = time.monotonic() - self.blind[-1][0]
        print(f"           the agent ended with {code} after {took:.1f} s", flush=True)

    def _kill_agent(self) -> None:
        self.killed += 1
        # What was seen in the last second is not on the disk yet.
        self.blind.append((time.monotonic() - 2.0, 0.0))
        self.host.child.kill()

    def _start_agent(self) -> None:
        self.host.start()
        self.blind[-1] = (self.blind[-1][0], time.monotonic())

    def _end_server(self, *, kill: bool) -> None:
        server = self.stack.children["edr"]
        _ = server.kill() if kill else server.stop()

    def _start_server(self) -> None:
        self.stack.restart("edr")


def play(faults: Sequence[Fault], seconds: float, rng: random.Random, began: float) -> list[Spell]:
    """Let each fault happen once within `seconds`; returns when each began and ended."""
    spells = []
    start = time.monotonic()
    share = seconds / len(faults)
    for number, fault in enumerate(rng.sample(list(faults), len(faults))):
        due = start + (number + rng.uniform(0.2, 0.4)) * share
        time.sleep(max(0.0, due - time.monotonic()))
        begin = time.monotonic() - began
        print(f"{begin:7.1f} s  {fault.name}", flush=True)
        fault.begin()
        time.sleep(share * rng.uniform(0.3, 0.5))
        fault.end()
        spells.append(Spell(fault.name, begin, time.monotonic() - began))
    time.sleep(max(0.0, start + seconds - time.monotonic()))
    return spells
