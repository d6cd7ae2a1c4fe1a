"""``python -m prove delivery [--events N] [--kills N] [--seed N]``: SIGKILL at random moments.

A million events pass from an EDR server through a collector into the core's store, and beside it
to receivers by HTTP, NATS JetStream and syslog. Meanwhile collector, core, NATS and the receiver by
HTTP are killed in turn as chance will, always while events are under way. At the end each event is
in the store exactly once, and at each receiver at least once, always under the same batch id. The
receiver by syslog stays: syslog over TCP has no acknowledgement, so what a receiver had in its
buffers when it died is lost to every sender.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prove.plant import Plant, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VICTIMS = ("collector", "collector", "core", "http", "nats")
RECEIVERS = ("http", "nats", "syslog")


@dataclass
class Account:
    """What came of it; `problems` is empty when every event is where it must be."""

    kills: Counter[str] = field(default_factory=Counter)
    behind: list[int] = field(default_factory=list)
    stored: dict[str, int] = field(default_factory=dict)
    taken: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def prove(folder: Path, events: int, kills: int, seed: int) -> Account:
    """Run the proof in `folder` and return the account."""
    piece = events // kills
    events = piece * kills  # as many after each kill
    account, chance, began = Account(), random.Random(seed), time.monotonic()  # noqa: S311
    plant = Plant(folder, page=max(100, piece // 10))
    try:
        plant.start()
        source = pieces(events, piece)
        for _ in range(kills):
            _kill(plant, chance, source, account)
        for _ in source:
            raise AssertionError("there is one piece for each kill")
        plant.wait(events, limit=600 + events / 2_000)
        _judge(plant, events, account)
    finally:
        plant.close()
    account.seconds = time.monotonic() - began
    return account


def _kill(plant: Plant, chance: random.Random, source: Iterator[bytes], account: Account) -> None:
    """Give the next piece of events, kill somebody while they pass, start it again."""
    plant.feed(source)
    time.sleep(chance.uniform(0.0, 0.5))
    victim = chance.choice(VICTIMS)
    account.behind.append(plant.fed - plant.stored())
    plant.children[victim].kill()
    account.kills[victim] += 1
    time.sleep(chance.uniform(0.0, 0.3))
    plant.restart(victim)


def _judge(plant: Plant, events: int, account: Account) -> None:
    account.stored = plant.counts()
    for name, wanted in (("rows", events), ("ids", events), ("events", events)):
        if account.stored[name] != wanted:
            account.problems.append(f"storage: {account.stored[name]} {name}, not {wanted}")
    batch_of: dict[str, str] = {}
    for kind in RECEIVERS:
        pairs = plant.pairs(kind)
        account.taken[kind] = (len(pairs), len({one for one, _ in pairs}))
        account.problems += _problems(kind, pairs, events, account.stored["batches"], batch_of)


def _problems(
    kind: str, pairs: Sequence[tuple[str, str]], events: int, stored: int, batch_of: dict[str, str]
) -> Iterator[str]:
    """Give what is wrong at one receiver.

    `batch_of` is what the others were told,
    `stored` how many batches are in the store.
    """
    different = sum(batch_of.setdefault(event, batch) != batch for event, batch in pairs)
    if different:
        yield f"{kind}: {different} events came under another batch id"
    distinct = len({event for event, _ in pairs})
    if distinct != events:
        yield f"{kind}: {distinct} different events, not {events}"
    batches = len({batch for _, batch in pairs})
    if batches != stored:
        yield f"{kind}: {batches} batch ids, while the store has {stored}"


def main(arguments: list[str]) -> int:
    """Run the proof, print the account, return the exit code."""
    parser = argparse.ArgumentParser("python -m prove delivery", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        account = prove(Path(folder), options.events, options.kills, options.seed)
    tell(account, options.events)
    return 1 if account.problems else 0


def tell(account: Account, events: int) -> None:
    """Print an account."""
    killed = ", ".join(f"{name} {count}" for name, count in sorted(account.kills.items()))
    print(f"events {events:,}; SIGKILL {account.kills.total()} ({killed}); {account.seconds:.0f} s")
    print(f"at {sum(map(bool, account.behind))} of them events were not in the store yet, "
          f"in the mean {sum(account.behind) // max(1, len(account.behind)):,}")  # fmt: skip
    print(f"storage    {account.stored}")
    for kind, (lines, distinct) in account.taken.items():
        print(f"{kind:10} {lines:,} taken, {distinct:,} different: {lines - distinct:,} repeats")
    print("\n".join(account.problems) or "each exactly once in storage, at least once elsewhere")
