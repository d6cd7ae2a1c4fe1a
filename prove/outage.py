"""``python -m prove outage [--seconds N] [--rate N] [--scale X]``: everything behind is away.

The events of an hour at 5,000/s come while the core and a receiver by HTTP are away, and the
collector's disk is bounded to a part of them. Time is compressed: the events come as fast as the
parts take them, and `scale` (a twentieth) makes events and disk fewer in the same measure. Shown is
what the collector keeps, what stays at the EDR server, and that afterwards every event is in the
store exactly once; what the receiver did not get was counted as given up.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deodar.demo.errors import DemoError
from deodar.demo.stack import attempts
from deodar.kit.journal import Journal
from deodar.siem.collector.prepare import count_events
from prove.plant import Plant, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_BYTES = 750
"""About what an event takes in the journal."""
KEPT = 1 / 3
"""The part of the hour's events that the collector's disk has room for."""
PAGE = 2_000
SETTLED = 3.0
"""Seconds after which a report has all that was given up: it counts from the collector's start."""


@dataclass
class Account:
    """What came of it: events, bytes on disk, and what is wrong."""

    before: int = 0
    during: int = 0
    kept: int = 0
    upstream: int = 0
    disk: int = 0
    bound: int = 0
    given_up: int = 0
    taken: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    told: str = ""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def prove(folder: Path, events: int, page: int = PAGE) -> Account:
    """Run the proof with that many events during the outage; return the account."""
    began = time.monotonic()
    bound = max(2 << 20, int(events * EVENT_BYTES * KEPT))
    account = Account(bound=bound)
    changes = {"journal_bytes": bound}
    plant = Plant(folder, page, changes, max_body_bytes=min(16 << 20, bound // 8))
    try:
        plant.start()
        source = pieces(events + events // 10, max(1, events // 20))
        _some(plant, source, 2)
        account.before = plant.fed
        plant.wait(plant.fed, limit=300)
        for name in ("core", "http"):
            plant.children[name].kill()
        _outage(plant, source, account)
        for name in ("core", "http"):
            plant.restart(name)
        plant.stack.restart("collector")
        plant.wait(plant.fed, limit=600 + events / 2_000)
        _judge(plant, account)
    finally:
        plant.close()
    account.seconds = time.monotonic() - began
    return account


def _some(plant: Plant, source: Iterator[bytes], count: int) -> None:
    for _ in range(count):
        plant.feed(source)


def _outage(plant: Plant, source: Iterator[bytes], account: Account) -> None:
    """Give the events of the hour, wait until the disk is full, end the collector, look."""
    journal = plant.collector.path / "journal"
    for _ in range(20):
        plant.feed(source)
        account.disk = max(account.disk, _size(journal))
    account.during = plant.fed - account.before
    for _ in attempts(120, pause=0.2):
        account.disk = max(account.disk, _size(journal))
        report = plant.report()
        if "journal is full" in report.status.reason:
            break
    else:
        raise DemoError(f"the journal did not fill: {report}")
    account.told = f"{report.status.colour}: {report.status.reason}"
    time.sleep(SETTLED)
    account.given_up = _given_up(plant)
    plant.children["collector"].kill()
    account.kept = _kept(journal)
    account.upstream = account.during - account.kept


def _given_up(plant: Plant) -> int:
    """Return how many events the running collector gave up, as far as the receiver is concerned."""
    (http,) = (one for one in plant.report().destinations if one.name == "http")
    return http.lost_size + http.lost_age


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # a segment that was given back meanwhile
    return total


def _kept(folder: Path) -> int:
    """Return how many events wait in the journal of a collector that was killed."""
    with Journal(folder) as journal:
        return sum(count_events(record) for record in journal.read(journal.acknowledged))


def _judge(plant: Plant, account: Account) -> None:
    account.stored = plant.counts()
    for name in ("rows", "ids", "events"):
        if account.stored[name] != plant.fed:
            account.problems.append(f"storage: {account.stored[name]} {name}, not {plant.fed}")
    if account.disk > account.bound * 1.05:
        account.problems.append(f"the journal took {account.disk} bytes, bound {account.bound}")
    if not 0 < account.kept < account.during:
        account.problems.append(f"{account.kept} of {account.during} events were kept")
    account.given_up += _given_up(plant)
    account.taken = len({event for event, _ in plant.pairs("http")})
    if account.taken + account.given_up < plant.fed:
        missing = plant.fed - account.taken - account.given_up
        account.problems.append(f"http: {missing} events neither came nor were told as given up")


def main(arguments: list[str]) -> int:
    """Run the proof, print the account, return the exit code."""
    parser = argparse.ArgumentParser("python -m prove outage", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3_600)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--scale", type=float, default=0.05)
    options = parser.parse_args(arguments)
    events = int(options.seconds * options.rate * options.scale)
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        account = prove(Path(folder), events)
    print(f"{options.seconds} s at {options.rate:,} events/s, scale {options.scale:g}")
    tell(account)
    return 1 if account.problems else 0


def tell(account: Account) -> None:
    """Print an account."""
    print(f"events before the outage {account.before:,}, during it {account.during:,}")
    print(f"kept by the collector    {account.kept:,} in {account.disk:,} bytes "
          f"(bound {account.bound:,})")  # fmt: skip
    print(f"left at the EDR server   {account.upstream:,}, since: {account.told}")
    print(f"storage afterwards       {account.stored}")
    print(
        f"receiver by HTTP         {account.taken:,} taken, {account.given_up:,} told as given up"
    )
    print(f"took {account.seconds:.0f} s")
    print("\n".join(account.problems) or "nothing is lost that was acknowledged")
