"""The whole way on this machine: an agent's spool, the EDR server, a collector, the SIEM's store.

The agent replays a file of events instead of watching the kernel; every other part is as it is in
production, with every hop durable before it acknowledges. Goal: 25,000 events/s on two cores.
"""

from __future__ import annotations

import time

from bench.report import Line, cpu_seconds
from bench.stand import give, rate, stack, write_events
from deodar.agent.settings import AgentSettings
from deodar.demo.stack import Stack, attempts
from deodar.kit.settings import load

EVENTS = 300_000
GOAL = 25_000
LONGEST = 300


def main() -> None:
    """Measure and print."""
    with stack() as parts:
        url = parts.start_edr()["url"]
        parts.enroll_agent()
        agent_id = load(parts.agent / "agent.toml", AgentSettings).agent_id
        file = write_events(parts.folder / "events.ndjson", EVENTS, agent_id)
        parts.start_core(url)
        parts.start_collector()
        parts.accept_collector()
        before = {name: cpu_seconds(child.pid) for name, child in parts.children.items()}
        began = time.monotonic()
        parts.start_agent("--sensor", "replay", "--replay", file)
        wait(parts)
        whole = rate(EVENTS, began)
        used = {
            name: cpu_seconds(child.pid) - before.get(name, 0.0)
            for name, child in parts.children.items()
        }
    give(
        Line("the whole way, two cores", whole, "events/s", whole / GOAL, f"the goal ({GOAL:,}/s)"),
        *(
            Line(f"the whole way: processor time of {name}", seconds / EVENTS * 1e6, "µs/event")
            for name, seconds in used.items()
        ),
    )


def wait(parts: Stack) -> None:
    """Return once every event is found in the SIEM."""
    for _ in attempts(LONGEST, pause=0.5):
        (row,) = parts.search("SELECT count() AS events FROM events")
        if int(row["events"]) >= EVENTS:
            return
    raise SystemExit(f"only {row['events']} of {EVENTS} events arrived in {LONGEST} s")


if __name__ == "__main__":
    main()
