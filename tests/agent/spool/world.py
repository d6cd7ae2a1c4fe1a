"""A small world round a spool: events that know their number, a server, clocks, a bad disk."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from deodar.agent.age import AgeClock
from deodar.agent.loss import LossBook
from deodar.agent.packets import Packer
from deodar.agent.spool import Spool
from deodar.kit.journal.files import close

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deodar.agent.packets import Packet
    from deodar.agent.settings import SpoolSettings
    from deodar.agent.spool import StoredBatch

MEBIBYTE = 1 << 20
TYPES = {"low": "process_fork", "medium": "process", "high": "threatdetect"}


def line(number: int, importance: str = "medium", size: int = 10) -> bytes:
    """Return an event as a line of JSON, with a text that cannot be packed well."""
    noise = random.Random(number).randbytes((size + 1) // 2).hex()
    event = {"EventType": TYPES[importance], "Id": number, "Noise": noise}
    return json.dumps(event, separators=(",", ":")).encode()


def packet(numbers: Iterable[int], kinds: str | Sequence[str] = "medium", size: int = 10) -> Packet:
    """Return a packet of events with these numbers and importances; times are their numbers."""
    known = list(numbers)
    chosen = [kinds] * len(known) if isinstance(kinds, str) else kinds
    lines = [line(n, kind, size) for n, kind in zip(known, chosen, strict=True)]
    return Packer().pack(lines, known[0], known[-1])


def numbers(body: bytes) -> list[int]:
    """Return the numbers of the events in a body."""
    text = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True).readall()
    return [json.loads(line)["Id"] for line in text.splitlines()]


class Clocks:
    """Three clocks that tests turn."""

    def __init__(self) -> None:
        self.running = 100.0
        self.wall = 1_800_000_000.0
        self.boot = "boot-1"

    def passes(self, seconds: float) -> None:
        self.running += seconds
        self.wall += seconds

    def age(self, path: Path) -> AgeClock:
        return AgeClock(path, running=lambda: self.running, wall=lambda: self.wall, boot=self.boot)


class Server:
    """Takes each packet once, as the EDR server does."""

    def __init__(self) -> None:
        self.committed = 0
        self.events: list[int] = []

    def offer(self, batch: StoredBatch) -> int | None:
        """Return None when all of it is there now, else the number up to which it is."""
        if batch.last <= self.committed:
            return None
        if batch.first <= self.committed:
            return self.committed
        got = numbers(batch.body)
        assert len(got) == batch.events
        self.events += got
        self.committed = batch.last
        return None


class World:
    """A spool in a folder, and all that is round it; it can be ended and killed."""

    def __init__(self, folder: Path, settings: SpoolSettings) -> None:
        self.folder = folder
        self.settings = settings
        self.clocks = Clocks()
        self.server = Server()
        self.spool: Spool
        self.losses: LossBook
        self.open()

    def open(self) -> Spool:
        self.losses = LossBook(self.folder / "losses.json", clock=_later())
        age = self.clocks.age(self.folder / "age.json")
        self.spool = Spool(self.folder / "spool", self.settings, self.losses, age)
        return self.spool

    def reopen(self) -> Spool:
        self.spool.close()
        return self.open()

    def kill(self) -> list[int]:
        """Let go of everything as a killed process does; returns what was only in memory."""
        held = [n for one in self.spool._held.packets for n in numbers(one.body)]
        journal = self.spool._journal
        close(journal._writer._newest)
        journal._writer._newest = -1
        journal._marks.close()
        journal._holder.close()
        self.spool._outgoing.close()
        return held

    def deliver(self, *, answered: bool = True, **limits: int) -> bool:
        """Carry one batch to the server; False when there was none."""
        batch = self.spool.take(0, **limits)
        if batch is None:
            return False
        there = self.server.offer(batch)
        if answered and there is None:
            self.spool.acknowledge(batch)
        elif answered:
            self.spool.acknowledge_to(there)
        return True

    def deliver_all(self) -> list[int]:
        while self.deliver():
            pass
        return self.server.events

    def lost(self) -> dict[str, int]:
        """Return what is lost and not told, by reason. It counts as taken then."""
        found: dict[str, int] = {}
        for loss in self.losses.take():
            found[loss.reason] = found.get(loss.reason, 0) + loss.count
        return found


def _later():
    """Return a clock by which a second passes at every look."""
    ticks = iter(range(10**9))
    return lambda: float(next(ticks))


class FullDisk:
    """No new files and no longer ones; what is there can be written over, as on a full disk."""

    def __init__(self, code: int) -> None:
        self.full = False
        self.code = code
        self._open, self._pwrite = os.open, os.pwrite

    def open(self, path, flags, *rest, **named):
        if self.full and flags & os.O_CREAT and not Path(path).exists():
            raise OSError(self.code, os.strerror(self.code), path)
        return self._open(path, flags, *rest, **named)

    def pwrite(self, descriptor, data, offset):
        if self.full and offset + len(data) > os.fstat(descriptor).st_size:
            raise OSError(self.code, os.strerror(self.code))
        return self._pwrite(descriptor, data, offset)


@contextlib.contextmanager
def failing_disk(code: int = errno.ENOSPC) -> Iterator[FullDisk]:
    """Give a disk that is full while its `full` is true."""
    disk = FullDisk(code)
    os.open, os.pwrite = disk.open, disk.pwrite
    try:
        yield disk
    finally:
        os.open, os.pwrite = disk._open, disk._pwrite
