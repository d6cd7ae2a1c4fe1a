"""The EDR server under a fleet: events of 1,000 agents, acknowledged once they are durable.

Real TLS with a certificate for each agent, one connection each, zstd packets of 500 events, a real
server process with the embedded store. The agents' process shares the two cores. They are connected
beforehand; that is told apart. Goal: 50,000 events/s.
"""

from __future__ import annotations

import sys

from bench.fleet import Fleet, enrol
from bench.report import Line, cpu_seconds, resident_mb
from bench.stand import give, stack
from deodar.edr import installation

AGENTS = 1000
EACH = 2
GOAL = 50_000


def main(agents: int = AGENTS, each: int = EACH) -> None:
    """Measure and print."""
    with stack() as parts:
        url = parts.start_edr()["url"]
        folder = parts.folder / "fleet"
        enrol(installation.open_(parts.edr), folder, agents)
        server = parts.children["edr"]
        used = cpu_seconds(server.pid)
        fleet = Fleet(folder, url, "send", each)
        greeted = cpu_seconds(server.pid) - used
        fleet.go()
        told = fleet.result()
        used = cpu_seconds(server.pid) - used - greeted
        memory = resident_mb(server.pid)
    events, seconds = told["events"], told["seconds"]
    what = f"fleet of {agents:,}: "
    give(
        Line(what + "events acknowledged, client included", events / seconds, "events/s",
             events / seconds / GOAL, f"the goal ({GOAL:,}/s)"),
        Line(what + "processor time of the server", used / events * 1e6, "µs/event"),
        Line(what + "processor time of the agents", told["cpu"] / events * 1e6, "µs/event"),
        Line(what + "time to an acknowledgement, median", told["latency"]["p50"], "s"),
        Line(what + "time to an acknowledgement, 99 %", told["latency"]["p99"], "s"),
        Line(what + "packets to be sent again", told["refused"], "packets"),
        Line(what + "memory of the server afterwards", memory, "MB"),
        Line(what + "connections made", agents / fleet.seconds, "1/s"),
        Line(what + "processor time of the server for one", greeted / agents * 1e3, "ms"),
    )  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
