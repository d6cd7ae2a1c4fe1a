"""``python -m soak [--minutes N] [--seed N] [--out FOLDER]``: exit code 1 when something is off.

One real agent with the BPF sensor, one real EDR server, programs started all the time; the way
between the two, the disk, the clock and both processes fail in turn. At the end the server's log is
held against what was started: every event once and in order, or counted as lost. Needs root.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.demo.stack import Ports, Stack, attempts
from soak import plot, verdict
from soak.faults import Trouble, play
from soak.host import AgentHost, own_mounts
from soak.proxy import FaultyWay
from soak.watch import Sample, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soak.faults import Spell

RATE = 20.0
EARLY = 0.3
"""Share of the time in which processes are ended; after that the agent has to stay."""
DRAIN = 180.0
FLAT_MB = 3.0
FLAT_DESCRIPTORS = 3


def main(arguments: list[str]) -> int:
    """Run the soak, print its account, return the exit code."""
    if os.geteuid() != 0:
        raise SystemExit("the soak needs root: a kernel sensor, a mount of its own")
    own_mounts(arguments)
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        return _soak(Path(place), options)


def _soak(folder: Path, options: argparse.Namespace) -> int:
    stack = Stack(folder, Ports(0, 0))
    ledger, mark = folder / "ledger", f"soak-{os.getpid()}-"
    url = stack.start_edr()["url"]
    way = FaultyWay(("127.0.0.1", int(url.rpartition(":")[2])))
    host = AgentHost(folder, stack.edr, way.port)
    began = time.monotonic()
    watch = Watch(lambda: host.pid)
    load = None
    try:
        host.start()
        words = [sys.executable, "-m", "soak.load", str(ledger), str(RATE), mark]
        load = subprocess.Popen(words)
        spells = _play(Trouble(host, way, stack), options, began)
        load.terminate()
        load.wait(10)
        _drain(host)
        watch.stop()
        blind = spells[1]
        found = verdict.judge(verdict.read(url, stack.edr), ledger, mark, blind)
        return _tell(found, watch, spells[0], options.out)
    finally:
        watch.stop()
        if load is not None and load.poll() is None:
            load.kill()
        host.close()
        stack.close()
        way.close()


def _play(
    trouble: Trouble, options: argparse.Namespace, began: float
) -> tuple[list[Spell], list[tuple[float, float]]]:
    rng = random.Random(options.seed)  # noqa: S311 - repeatable, no secret
    seconds = options.minutes * 60
    spells = play(trouble.early(), seconds * EARLY, rng, began)
    late = trouble.late() * max(1, round(options.minutes / 5))
    spells += play(late, seconds * (1 - EARLY), rng, began)
    time.sleep(2)
    return spells, trouble.blind


def _drain(host: AgentHost) -> None:
    """Wait until the agent has handed over everything."""
    spool: dict[str, int] = {}
    for _ in attempts(DRAIN, pause=1.0):
        spool = host.status().get("spool", {})
        if spool and spool["packets"] == 0:
            time.sleep(3)  # one more round, for what was in memory
            return
    raise SystemExit(f"the spool was not empty after {DRAIN:g} s: {spool}")


def _tell(found: verdict.Verdict, watch: Watch, spells: Sequence[Spell], out: Path) -> int:
    samples, began = watch.samples, watch.began
    with (out / "soak.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Sample._fields)
        writer.writerows(samples)
    plot.write(out / "soak.svg", samples, spells)
    print(f"programs started      {found.started}")
    print(f"  found once          {found.found - found.repeated}")
    print(f"  found again         {found.repeated}")
    print(f"  out of order        {found.out_of_order}")
    print(f"  while no agent ran  {found.while_blind} (told as a gap {found.gaps} times)")
    when = ", ".join(f"{moment - began:.1f} s" for moment in found.missing[:20])
    print(f"  missing             {len(found.missing)} {when and f'({when})'}")
    print(f"events in the log     {found.events}, {found.repeated_ids} with an id seen before")
    for reason, count in sorted(found.counted.items()):
        print(f"  counted as lost     {count:6}  {reason}")
    flat = _flatness(samples)
    print(f"faults                {len(spells)}; picture: {out / 'soak.svg'}")
    good = found.explained and flat and found.out_of_order == 0
    print("all of it explained" if good else "NOT all of it explained")
    return 0 if good else 1


def _flatness(samples: Sequence[Sample]) -> bool:
    """Print how memory and descriptors of the longest-lived agent went; returns whether flat."""
    pids = [sample.pid for sample in samples]
    longest = max(set(pids), key=pids.count)
    mine = [sample for sample in samples if sample.pid == longest]
    third = max(1, len(mine) // 3)
    middle, end = mine[third : 2 * third], mine[2 * third :]
    memory = (_mean(s.rss for s in end) - _mean(s.rss for s in middle)) / 1e6
    files = _mean(s.descriptors for s in end) - _mean(s.descriptors for s in middle)
    seconds = mine[-1].time - mine[0].time
    share = (mine[-1].cpu - mine[0].cpu) / seconds * 100 if seconds else 0.0
    print(f"agent's memory        {mine[-1].rss / 1e6:.1f} MB at the end, "
          f"most {max(s.rss for s in mine) / 1e6:.1f} MB, "
          f"last third {memory:+.2f} MB against the middle one")  # fmt: skip
    print(f"file descriptors      {mine[-1].descriptors}, {files:+.1f}; threads {mine[-1].threads}")
    print(f"agent's processor     {share:.2f} % of a core over {seconds:.0f} s, under this load")
    return memory < FLAT_MB and files < FLAT_DESCRIPTORS


def _mean(values: object) -> float:
    numbers = list(values)  # type: ignore[call-overload]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/soak"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
