"""What facts about files cost: throughput of each kind, a burst of new programs, memory.

Throughput is by processor time of the hash process, so that a noisy machine does not change it;
the peer of the digests is OpenSSL in this process. The burst is that of a build: 500 programs that
nobody has seen before, started as fast as the agent makes events of them; each event's time is
compared with that of an agent whose hashing is off.

Run: ``python -m bench.hashing``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from bench.agent_idle import resident
from bench.report import Line
from bench.stand import give
from deodar.agent.enrich import converters, host  # noqa: F401 - the first fills the registry
from deodar.agent.enrich.context import Context
from deodar.agent.enrich.hashes import identity_of
from deodar.agent.enrich.proc import live_process
from deodar.agent.enrich.registry import event_of
from deodar.agent.hashing import wire
from deodar.agent.hashing.measures import EXACT_BYTES, entropy, fuzzy
from deodar.agent.hashing.opener import open_first
from deodar.agent.hashing.process import HashProcess
from deodar.agent.sensors.base import Exec
from deodar.agent.settings import AgentSettings, HashSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deodar.agent.enrich.registry import Event

MEMORY_GOAL = 12.0
BURST = 500
PROGRAM_BYTES = 60_000
LARGE = 64_000_000
FUZZY_BYTES = 1_000_000
LIMIT = 120.0


@dataclass
class Burst:
    """What one burst came to."""

    milliseconds: list[float]
    """Of each event that was made."""
    known: list[float]
    """The same of each event when its program is known already."""
    processor: float
    """Seconds of processor time that the hash process took."""
    whole: int
    """Events with a SHA-256."""
    fuzzy: int
    """Events with a fuzzy hash."""
    skipped: dict[str, int]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="deodar-bench-") as name:
        folder = Path(name)
        give(*throughput(folder), *memory(folder))
        give(*bursts(folder))


def throughput(folder: Path) -> list[Line]:
    """Return MB per second of processor time of each kind."""
    content = os.urandom(LARGE)
    digests = LARGE / 1e6 / in_process(folder, content)
    openssl = LARGE / 1e6 / timed(lambda: [hashlib.new(n, content) for n in ("md5", "sha256")])
    exact = EXACT_BYTES / 1e6 / on_file(folder, content[:EXACT_BYTES], entropy)
    similar = FUZZY_BYTES / 1e6 / on_file(folder, content[:FUZZY_BYTES], fuzzy)
    return [
        Line("hashing: MD5 and SHA-256", digests, "MB/s", digests / openssl, "OpenSSL"),
        Line("hashing: entropy, exact", exact, "MB/s", exact / digests, "MD5 and SHA-256"),
        Line("hashing: ssdeep", similar, "MB/s", similar / digests, "MD5 and SHA-256"),
    ]


def in_process(folder: Path, content: bytes) -> float:
    """Return the processor time that the hash process takes for the digests of a content."""
    spent: list[float] = []
    process = HashProcess(spent.append)
    try:
        ask(process, folder, b"first")  # its start is not part of it
        spent.clear()
        ask(process, folder, content)
        return sum(spent)
    finally:
        process.close()


def ask(process: HashProcess, folder: Path, content: bytes) -> None:
    file = folder / "content"
    file.write_bytes(content)
    opened = open_first(None, [str(file)])
    assert opened is not None
    assert process.ask(wire.DIGEST, opened, LIMIT).outcome == wire.DONE
    os.close(opened.descriptor)


def on_file(folder: Path, content: bytes, work: Callable[[int, int], object]) -> float:
    """Return the processor time of some work on a file with this content."""
    file = folder / "content"
    file.write_bytes(content)
    with file.open("rb") as opened:
        return timed(lambda: work(opened.fileno(), len(content)))


def timed(work: Callable[[], object]) -> float:
    """Return the least processor time of three runs."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def memory(folder: Path) -> list[Line]:
    """Return what the hash process has in memory after its first file, and after large ones."""
    process = HashProcess(lambda _: None)
    sizes = []
    try:
        for content in (b"first", os.urandom(FUZZY_BYTES)):
            ask(process, folder, content)
            opened = open_first(None, [str(folder / "content")])
            assert opened is not None
            process.ask(wire.FUZZY, opened, LIMIT)
            os.close(opened.descriptor)
            assert process.pid is not None
            sizes.append(resident(process.pid) / 1e6)
    finally:
        process.close()
    names = ("hashing: memory of the process", "hashing: memory after 1 MB of ssdeep")
    goal = f"the goal ({MEMORY_GOAL:.0f} MB)"
    return [
        Line(name, size, "MB", size / MEMORY_GOAL, goal)
        for name, size in zip(names, sizes, strict=True)
    ]


def bursts(folder: Path) -> list[Line]:
    """Return what a burst of new programs costs, with and without hashing."""
    without = burst(programs(folder / "without"), HashSettings(enabled=False))
    with_all = burst(programs(folder / "with"), HashSettings())
    plain, known = median(without.milliseconds), median(without.known)
    late = quantiles(with_all.milliseconds, n=100)[98]
    return [
        Line("hashing: event of a new program, hashing off", plain, "ms"),
        ratio("hashing: event of a new program", median(with_all.milliseconds), "ms", plain),
        ratio("hashing: event of a new program, slowest 1 %", late, "ms", plain),
        ratio("hashing: event of a known program", median(with_all.known), "ms", known),
        Line("hashing: 500 new programs", with_all.processor, "s of processor time"),
        Line("hashing: with MD5, SHA-256, entropy", with_all.whole / BURST * 100, "% of events"),
        Line("hashing: with ssdeep at once", with_all.fuzzy / BURST * 100, "% of events"),
        Line("hashing: left out and told", sum(with_all.skipped.values()), "files"),
    ]


def ratio(what: str, value: float, unit: str, against: float) -> Line:
    """Return a measurement beside that of an agent that hashes nothing."""
    return Line(what, value, unit, value / against, "hashing off")


def programs(folder: Path) -> list[Path]:
    """Write programs that differ from one another, of compressible and other content."""
    folder.mkdir()
    shared = b"\x7fELF" + bytes(range(256)) * (PROGRAM_BYTES // 512)
    files = [folder / f"program-{number}" for number in range(BURST)]
    for file in files:
        file.write_bytes(shared + os.urandom(PROGRAM_BYTES - len(shared)))
    return files


def burst(files: Sequence[Path], hashes: HashSettings) -> Burst:
    """Make an event of the start of each program, and then of each again."""
    context = Context(
        AgentSettings(agent_id="bench", hashes=hashes),
        host.collect(),
        version="0",
        sensor_tier="bpf",
        server=lambda: "",
    )
    own = live_process(os.getpid())
    assert own is not None
    made: list[float] = []
    known: list[float] = []
    try:
        records = [
            Exec(time.time_ns(), own.key, own.parent, [b"x"], exe=os.fsencode(file),
                 inode=identity_of(file.stat()))
            for file in files
        ]  # fmt: skip
        events = [clocked(context, record, made) for record in records]
        for record in records:
            clocked(context, record, known)
        counters = context.hasher.counters()
    finally:
        context.close()
    return Burst(
        made,
        known,
        counters.processor_seconds,
        sum("Sha256" in event for event in events),
        sum("FuzzyHash" in event for event in events),
        counters.skipped,
    )


def clocked(context: Context, record: Exec, times: list[float]) -> Event:
    """Make the event of a record and note how long it took, in ms."""
    began = time.perf_counter()
    event = event_of(context, record)
    times.append((time.perf_counter() - began) * 1000)
    return event


if __name__ == "__main__":
    main()
