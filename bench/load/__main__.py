"""``python -m bench.load [--seconds N] [--short]``: the agent under load, beside auditd.

For each load and rate: with no agent, with Deodar's, with auditd, one after the other. "Processor"
is everything involved: what the load itself took more than without an agent (the sensor's work in
the kernel is accounted there), the collector's processes, the kernel's threads for it. Shared hosts
are noisy: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

from bench.load.collectors import Auditd, Deodar, Nobody
from bench.report import Line
from bench.stand import give

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.load.collectors import Collector

RATES: dict[str, tuple[int, ...]] = {
    "exec": (100, 400, 800, 1600),
    "file": (1000, 10_000),
    "connect": (1000, 4000),
}
GENERATE = (sys.executable, "-m", "bench.load.generate")
SHORT: dict[str, tuple[int, ...]] = {"exec": (400,), "file": (1000,), "connect": (500,)}


class Result:
    """What one run under one collector came to."""

    def __init__(self, collector: Collector, kind: str, rate: int, seconds: float) -> None:
        mark = f"load-{uuid.uuid4().hex[:12]}"
        collector.start(kind)
        try:
            before, lost = collector.cpu(), collector.lost()
            words = [*GENERATE, kind, str(rate), str(seconds), mark]
            ran = subprocess.run(words, check=True, capture_output=True, text=True)
            self.load = json.loads(ran.stdout)
            self.seen = collector.seen(mark) if kind == "exec" else 0
            self.own = collector.cpu() - before
            self.lost = collector.lost() - lost
        finally:
            collector.stop()

    def percent(self, without: Result) -> float:
        """Processor of everything involved, in % of a core, beyond what the load takes alone."""
        per_one = without.load["cpu"] / max(1, without.load["done"])
        more = self.load["cpu"] - per_one * self.load["done"]
        return 100 * (self.own + max(0.0, more)) / self.load["seconds"]


def compare(kind: str, rate: int, seconds: float) -> Iterator[Line]:
    """Yield the measurements of one load at one rate."""
    without = Result(Nobody(), kind, rate, seconds)
    ours, theirs = (Result(one, kind, rate, seconds) for one in (Deodar(), Auditd()))
    peer = theirs.percent(without)
    what = f"{kind} {rate}/s"
    yield Line(f"{what}: reached", without.load["done"] / without.load["seconds"], "1/s")
    yield Line(f"{what}: auditd, all processors", peer, "% of a core")
    yield Line(f"{what}: deodar, all processors", ours.percent(without), "% of a core",
               ours.percent(without) / max(peer, 0.01), "auditd")  # fmt: skip
    yield Line(f"{what}: deodar, its processes alone", 100 * ours.own / ours.load["seconds"],
               "% of a core")  # fmt: skip
    yield Line(f"{what}: deodar, lost", ours.lost, "events")
    yield Line(f"{what}: auditd, lost", theirs.lost, "records")
    if kind == "exec":
        for name, result in (("deodar", ours), ("auditd", theirs)):
            done = result.load["done"]
            yield Line(f"{what}: {name}, programs found", result.seen, "programs",
                       result.seen / done, f"those that ran ({done})")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--short", action="store_true", help="one low rate of each load")
    parser.add_argument("--only", choices=RATES, help="one kind of load")
    parser.add_argument("--rate", type=int, help="one rate")
    given = parser.parse_args()
    for kind, rates in (SHORT if given.short else RATES).items():
        if given.only not in (None, kind):
            continue
        for rate in [given.rate] if given.rate else rates:
            give(*compare(kind, rate, given.seconds))


if __name__ == "__main__":
    main()
