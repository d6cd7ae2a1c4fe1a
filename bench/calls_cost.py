"""What the programs at the exit of system calls cost: kernel ns per run, by kind of call.

From the kernel's own BPF statistics, as in `bench.agent_cost`; they count the calls of everybody,
so on a busy host a line is mixed with other calls (their share is printed). A run that does nothing
costs about 20 ns by them: that is the clock.

Run as root: ``python -m bench.calls_cost``.
"""

from __future__ import annotations

import ctypes
import os
import struct
import tempfile
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bench.report import Line
from bench.stand import give
from deodar.agent.sensors import syscall
from deodar.agent.sensors.bpf import BpfSensor

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5
PROGRAMS = ("deodar_calls", "deodar_files")
_libc = ctypes.CDLL(None, use_errno=True)


class Work(NamedTuple):
    """Calls of one kind: how they are made, how many in a round, and what a run may cost."""

    name: str
    make: Callable[[int], None]
    count: int
    calls: int
    """System calls that each makes, as these programs see them."""
    goal: int


def nothing(count: int) -> None:
    """Make calls that are of no interest to any sensor."""
    for _ in range(count):
        _libc.getppid()


def write(count: int) -> None:
    """Write to a file that is open all the time."""
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(count):
            os.pwrite(file.fileno(), b"x", 0)


def read(count: int) -> None:
    """Read from what is neither a terminal nor a pipe."""
    with open("/dev/zero", "rb", buffering=0) as file:  # noqa: PTH123  # a device
        for _ in range(count):
            os.read(file.fileno(), 1)


def look(count: int) -> None:
    """Look into one child again and again, as a profiler does."""
    child = os.fork()
    if not child:
        os.closerange(0, 3)
        os.read(os.pipe()[0], 1)  # nobody writes: until it is killed
    room = ctypes.create_string_buffer(8)
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    part = ctypes.create_string_buffer(struct.pack("<QQ", ctypes.addressof(room), 8))
    for _ in range(count):
        read_bytes = _libc.process_vm_readv(child, part, one, part, one, none)
    assert read_bytes == 8, ctypes.get_errno()
    os.kill(child, 9)
    os.waitpid(child, 0)


def memory_files(count: int) -> None:
    """Make files in memory, each with a name of its own."""
    for number in range(count):
        os.close(os.memfd_create(f"bench-{number}"))


def maps(count: int) -> None:
    """Make maps of eBPF."""
    attributes = struct.pack("<IIIIIII16s", syscall.ARRAY_MAP, 4, 8, 1, 0, 0, 0, b"bench")
    for _ in range(count):
        os.close(syscall.bpf(syscall.MAP_CREATE, attributes)[0])


def files(count: int) -> None:
    """Make files, write to them and remove them: told to a process's budget, then counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/file"
        for _ in range(count):
            file = os.open(path, os.O_CREAT | os.O_WRONLY)
            os.write(file, b"x")
            os.close(file)
            os.unlink(path)  # noqa: PTH108  # nothing but the call


WORK = (
    Work("call of no interest", nothing, 200_000, 1, 60),
    Work("read from a device", read, 100_000, 1, 150),
    Work("write to an open file", write, 100_000, 1, 150),
    Work("file made, written to, closed, removed", files, 5_000, 4, 500),
    Work("repeated look into a process", look, 50_000, 1, 200),
    Work("file in memory (and its close)", memory_files, 900, 2, 400),
    Work("map of eBPF (and its close)", maps, 2_000, 2, 400),
)


def totals(sensor: BpfSensor) -> dict[str, tuple[int, int]]:
    """Return run time in ns and number of runs of the programs at the exit of calls."""
    assert sensor.session is not None
    every = [part.loaded.programs for part in sensor.session.parts]
    found = {name: fd for programs in every for name, fd in programs.items() if name in PROGRAMS}
    return {name: syscall.program_info(fd)[1:3] for name, fd in found.items()}


def measure(sensor: BpfSensor, work: Work) -> dict[str, tuple[float, float]]:
    """Return for each program ns per run, and the share of runs that were ours, of the median."""
    rounds: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        before = totals(sensor)
        work.make(work.count)
        for name, (ns, runs) in totals(sensor).items():
            more = max(1, runs - before[name][1])
            each = (ns - before[name][0]) / more, min(1.0, work.count * work.calls / more)
            rounds.setdefault(name, []).append(each)
        while sensor.read(0.05):
            pass
    return {name: (median(n for n, _ in r), median(s for _, s in r)) for name, r in rounds.items()}


def main() -> None:
    """Measure and print."""
    sensor = BpfSensor(own_pid=0)
    sensor.open()
    statistics_on = syscall.enable_statistics()
    try:
        for work in WORK:
            for name, (ns, share) in measure(sensor, work).items():
                what = f"agent: {work.name}, {name} ({share:.0%} of its runs)"
                give(Line(what, ns, "ns/run", ns / work.goal, f"the goal ({work.goal} ns)"))
    finally:
        os.close(statistics_on)
        sensor.close()


if __name__ == "__main__":
    main()
