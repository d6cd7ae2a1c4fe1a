"""What a start of a program costs the agent's process: µs from the kernel's bytes to the spool.

Records of short processes (fork, start, end) as the kernel writes them go the whole way: decoded in
the reader's thread, gathered, enriched, made JSON, packed, stored on disk. No kernel makes them, so
this needs no root and tells a change of the code from a change of the host. The processes are gone,
as most are by the time that their records are read.

Run: ``python -m bench.agent_path [processes]``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report import Line
from bench.stand import give
from deodar.agent.enrich.context import Context
from deodar.agent.enrich.host import collect
from deodar.agent.enrich.proc import live_process
from deodar.agent.gather.registry import gatherers
from deodar.agent.loss import LossBook
from deodar.agent.pipeline import Pipeline
from deodar.agent.sensors import decode
from deodar.agent.sensors.base import NOT_SET, SensorCounters
from deodar.agent.settings import AgentSettings
from deodar.agent.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deodar.agent.enrich.proc import LiveProcess
    from deodar.agent.sensors.base import Record

PROCESSES = 20_000
FIRST_PID, FIRST_START = 1_000_000, 10**12
BATCH = 96
"""Records in a read, as at 1,600 programs a second."""
GOAL = 50.0
"""µs for a process: half of what auditd and the kernel's audit take."""
PROGRAM = Path("/usr/bin/true")


def kernel_device(number: int) -> int:
    """Return a device number of os.stat as the kernel writes it."""
    return os.major(number) << 20 | os.minor(number)


def process(number: int, parent: LiveProcess, status: os.stat_result) -> Iterator[bytes]:
    """Yield the records of one process, laid out as in bpf/records.h."""
    pid, start = FIRST_PID + number, FIRST_START + number * 20_000_000
    comm = PROGRAM.name.encode().ljust(16, b"\0")
    ids = (parent.key.start, parent.key.pid, 0, 0, 0, 0)
    yield decode.FORK.pack(2, 0, pid, start, start, *ids, NOT_SET, NOT_SET, 0, comm)
    argv, name = b"true\0--number\0%d\0" % number, os.fsencode(PROGRAM)
    exe, folder = b"\0".join([*reversed(name[1:].split(b"/")), b""]), b"root\0"
    yield decode.EXEC.pack(
        1, 0, pid, start, start + 1000, *ids, 0, NOT_SET, NOT_SET,
        parent.mount_ns, 1, kernel_device(status.st_dev), 1,
        status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, 7, (1 << 41) - 1,
        status.st_mode, len(argv), len(name), len(exe), len(folder), 0, comm, bytes(24),
    ) + name + exe + folder + argv  # fmt: skip
    yield decode.EXIT.pack(3, 0, pid, start, start + 900_000, 0, 0)


class Kernel:
    """The source of the pipeline: records that lie ready, decoded when they are read."""

    lossless = True
    """The pipeline may let it wait, so that nothing is dropped."""

    def __init__(self, count: int) -> None:
        status, parent = PROGRAM.stat(), live_process(os.getpid())
        assert parent is not None
        self._raw = [raw for number in range(count) for raw in process(number, parent, status)]
        self._at = 0
        self._offset = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    @property
    def finished(self) -> bool:
        """Whether all were read."""
        return self._at >= len(self._raw)

    def read(self, _timeout: float) -> list[Record]:
        """Return the next batch."""
        some = self._raw[self._at : self._at + BATCH]
        self._at += len(some)
        return [decode.decode(raw, 0, len(raw), self._offset) for raw in some]

    def interrupt(self) -> None:
        """Nothing waits here."""

    def counters(self) -> SensorCounters:
        """Return totals."""
        return SensorCounters(self._at, 0)


def run(count: int, folder: Path) -> tuple[float, int]:
    """Return the processor time of `count` processes in seconds, and how many events came of it."""
    settings = AgentSettings(agent_id="0b8f0000-0000-4000-8000-000000000000")
    losses = LossBook()
    context = Context(
        settings, collect(), version="bench", sensor_tier="bench", server=lambda: "127.0.0.1:9"
    )
    spool = Spool(folder / "spool", settings.spool, losses)
    pipeline = Pipeline(
        Kernel(count), context, spool, losses, settings, gatherers=gatherers(context, settings)
    )
    began = time.process_time()
    pipeline.start()
    assert pipeline.finished.wait(300), pipeline.failure
    used = time.process_time() - began
    pipeline.stop(10)
    spool.close()
    context.close()
    return used, pipeline.counters.events


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PROCESSES
    with tempfile.TemporaryDirectory(prefix="deodar-bench-") as folder:
        run(500, Path(folder) / "warm")
        used, events = run(count, Path(folder) / "measured")
    each = used / count * 1e6
    give(
        Line("agent: a short process, from bytes to spool", each, "µs", each / GOAL,
             f"the goal ({GOAL:g} µs)"),
        Line("agent: events of a short process", events / count, "events"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
