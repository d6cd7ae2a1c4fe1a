"""An EDR server with 15,000 connected agents that have nothing to do: processor time and memory.

Each has its own certificate and one connection, over which it waits for orders (long poll), as the
real agent does. Goal: under half a core and 2 GB.
"""

from __future__ import annotations

import resource
import sys
import time

from bench.fleet import Fleet, enrol
from bench.report import Line, cpu_seconds, resident_mb
from bench.stand import give, stack
from deodar.edr import installation

AGENTS = 15_000
BEFORE = 10
"""Seconds to come to rest."""
SECONDS = 150
"""Longer than a wait, so that each has asked again."""
GOAL_CORES, GOAL_MB = 0.5, 2048
SPARE = 500
"""Files that a process has open beside its connections."""


def main(agents: int = AGENTS, seconds: int = SECONDS, before: int = BEFORE) -> None:
    """Measure and print."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE
    agents = min(agents, most)
    with stack() as parts:
        url = parts.start_edr()["url"]
        folder = parts.folder / "fleet"
        enrol(installation.open_(parts.edr), folder, agents)
        server = parts.children["edr"]
        empty = resident_mb(server.pid)
        fleet = Fleet(folder, url, "idle")
        fleet.go()
        time.sleep(before)
        used, began = cpu_seconds(server.pid), time.monotonic()
        time.sleep(seconds)
        cores = (cpu_seconds(server.pid) - used) / (time.monotonic() - began)
        memory = resident_mb(server.pid)
        fleet.end()
    give(
        Line(f"{fleet.connected:,} idle agents: processor time", cores, "cores",
             cores / GOAL_CORES, f"the goal ({GOAL_CORES} cores)"),
        Line(f"{fleet.connected:,} idle agents: memory of the server", memory, "MB",
             memory / GOAL_MB, f"the goal ({GOAL_MB} MB)"),
        Line("memory for each", (memory - empty) / fleet.connected * 1024, "KB"),
        Line("time for all to connect", fleet.seconds, "s"),
    )  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
